"""A gate in plain Python: reads the files that a publish adds, and refuses where
an expectation does not hold. TIDEMARK_FILES is a folder of copies, so pandas,
DuckDB or a Great Expectations suite can be pointed at it in the same way. The
last line that is printed is the reason of a hold."""

import json
import os
import pathlib
import sys

EXPECTATIONS = {
    "distance is a number from 0 to 5,000": lambda row: isinstance(row.get("distance"), int)
    and 0 <= row["distance"] <= 5000,
    "delay is a number": lambda row: isinstance(row.get("delay"), int),
    "origin and destination differ": lambda row: row.get("origin") != row.get("destination"),
}


def rows(folder):
    for path in sorted(pathlib.Path(folder).rglob("*.jsonl")):
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                yield path.name, number, json.loads(line)


def main():
    failed = dict.fromkeys(EXPECTATIONS, 0)
    first = {}
    total = 0
    for file, number, row in rows(os.environ["TIDEMARK_FILES"]):
        total += 1
        for name, holds in EXPECTATIONS.items():
            if not holds(row):
                failed[name] += 1
                first.setdefault(name, f"row {number} of {file}")
    print(f"{total} rows")
    bad = [name for name in EXPECTATIONS if failed[name]]
    for name in bad:
        print(f"'{name}' fails for {failed[name]} of {total} rows, the first is {first[name]}")
    return 1 if bad else 0


sys.exit(main())
