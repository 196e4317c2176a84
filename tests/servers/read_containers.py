"""Reads exported containers with fastavro, as a stranger would, and compares
each row with the log of what Kafka acknowledged (tests/lib/stamp.h).

usage: read_containers.py FOLDER LOG
"""
import json
import pathlib
import sys

import fastavro

folder, log = pathlib.Path(sys.argv[1]), sys.argv[2]
wanted = {}
for line in open(log):
    kind, topic, _generation, partition, _offset, sequence, crc = line.split()
    wanted[topic, int(partition), int(sequence)] = (kind, int(crc))

files = letters = 0
for path in sorted(folder.rglob("*.avro")):
    files += 1
    with open(path, "rb") as f:
        for row in fastavro.reader(f):
            kind = "A"
            if "exception_message" in row:
                assert row["value"].startswith(b"poison "), row
                row, kind = json.loads(row["value"][len(b"poison "):]), "P"
                letters += 1
            expected = wanted.pop((row["topic"], row["partition"], row["sequence"]))
            assert expected == (kind, row["crc"]), (path, row, expected)
assert not wanted, f"{len(wanted)} records are missing"
assert files and letters
print(f"{files} files, {letters} dead letters")
