"""Real data through Kafka and back.

usage: real_data.py rows KIND FILE      writes records behind their lengths to stdout
       real_data.py compare KIND FILE FOLDER PARTITIONS
                                        compares FOLDER/**/*.parquet with FILE

KIND: flights (Avro); birds (JSON, in the one column value); events (the birds as JSON of
several types, in columns of their own, each file sorted by cost.total and n)
"""
import csv
import io
import json
import pathlib
import struct
import sys

import fastavro
import pyarrow
import pyarrow.compute
import pyarrow.parquet

FLIGHT = fastavro.parse_schema({"type": "record", "name": "Flight", "fields": [
    {"name": "date", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
    {"name": "delay", "type": "long"}, {"name": "distance", "type": "long"},
    {"name": "origin", "type": "string"}, {"name": "destination", "type": "string"}]})


def flights(path):
    table = pyarrow.parquet.read_table(path)
    return table.set_column(0, "date", table["date"].cast(pyarrow.int64()))


def birds(path):
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def events(path):
    for n, row in enumerate(birds(path)):
        event = {"n": n, **row, "cost": {"repair": number(row["Cost Repair"]),
                                         "total": number(row["Cost Total $"])}}
        event["words"] = row["Wildlife Species"].split()
        event["speed"] = number(row["Speed IAS in knots"], float)
        if n >= 5000:  # something new, of two types
            event["late"] = [n] if n % 3 == 0 else str(n)
        yield event


def number(text, kind=int):
    return kind(float(text.replace(",", ""))) if text else None


def without_nulls(value):
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value


def same_event(wanted, found):
    if found.keys() != wanted.keys():
        return False
    # a column where types disagree is JSON text
    return all(v == wanted[k] or (k == "late" and json.loads(v) == wanted[k])
               for k, v in found.items())


def compare_events(path, folder, partitions):
    wanted, found, kinds = list(events(path)), {}, set()
    for file in pathlib.Path(folder).rglob("*.parquet"):
        table = pyarrow.parquet.read_table(file)
        kinds.add(tuple(str(f.type) for f in table.schema))
        rows = table.to_pylist()
        keys = [((r["cost"]["total"] is None, r["cost"]["total"] or 0), r["n"]) for r in rows]
        assert keys == sorted(keys), f"{file} is not sorted"
        for row in rows:
            assert row["n"] not in found, f"{row['n']} is there twice"
            found[row["n"]] = without_nulls(row)
    assert len(kinds) > 1, kinds
    for event in wanted:
        row = found.get(event["n"])
        assert row and same_event(without_nulls(event), row), (event, row)
    return len(found)


def rows(kind, path):
    out = sys.stdout.buffer
    if kind != "flights":
        for row in birds(path) if kind == "birds" else events(path):
            text = json.dumps(row).encode()
            out.write(struct.pack("<I", len(text)) + text)
        return
    for batch in flights(path).to_batches(max_chunksize=50000):
        for row in batch.to_pylist():
            one = io.BytesIO()
            fastavro.schemaless_writer(one, FLIGHT, row)
            out.write(struct.pack("<I", one.tell()) + one.getvalue())


def read_back(folder, partition):
    files = sorted(pathlib.Path(folder).rglob(f"*+{partition}+*.parquet"))
    assert len(files) > 1, files
    return pyarrow.concat_tables(pyarrow.parquet.read_table(f) for f in files)


def compare(kind, path, folder, partitions):
    total = 0
    if kind == "events":
        total = compare_events(path, folder, partitions)
    elif kind == "birds":
        wanted = birds(path)
        for p in range(partitions):
            found = [json.loads(v) for v in read_back(folder, p)["value"].to_pylist()]
            assert found == wanted[p::partitions], f"partition {p} differs"
            total += len(found)
    else:
        wanted = flights(path)
        for p in range(partitions):
            found = read_back(folder, p)
            assert str(found.schema.field("date").type) == "timestamp[us]", found.schema
            part = wanted.take(list(range(p, wanted.num_rows, partitions))).combine_chunks()
            for name in wanted.column_names:
                column = found[name]
                if name == "date":
                    column = column.cast(pyarrow.int64())
                equal = column.combine_chunks().cast(part[name].type).equals(
                    part[name].combine_chunks())
                assert equal, f"{name} of partition {p} differs"
            total += found.num_rows
    print(f"{total} rows")


if sys.argv[1] == "rows":
    rows(sys.argv[2], sys.argv[3])
else:
    compare(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
