"""Real data through Kafka and back.

usage: real_data.py rows flights|birds FILE      writes records behind their lengths to stdout
       real_data.py compare flights|birds FILE FOLDER PARTITIONS
                                                 compares FOLDER/**/*.parquet with FILE
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


def rows(kind, path):
    out = sys.stdout.buffer
    if kind == "birds":
        for row in birds(path):
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
    if kind == "birds":
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
