"""Compares FOLDER/*.avro, as fastavro reads them, with FOLDER/*.parquet, as pyarrow
does, by the mapping of docs/parquet.md.

usage: compare_files.py FOLDER
"""
import pathlib
import struct
import sys
import uuid

import fastavro
import pyarrow
import pyarrow.parquet

types = {}  # named types of the schema at hand


def learn(schema, namespace=""):
    """Notes the named types; yields nothing."""
    if isinstance(schema, list):
        for branch in schema:
            learn(branch)
    elif isinstance(schema, dict):
        if "name" in schema and schema["type"] in ("record", "enum", "fixed"):
            types[schema["name"]] = schema
        for field in schema.get("fields", []):
            learn(field["type"])
        for key in ("items", "values"):
            if key in schema:
                learn(schema[key])
        if isinstance(schema["type"], (dict, list)):
            learn(schema["type"])


def kind_of(schema):
    while True:
        if isinstance(schema, str):
            if schema not in types:
                return schema, schema
            schema = types[schema]
        elif isinstance(schema, dict) and not isinstance(schema["type"], str):
            schema = schema["type"]
        elif isinstance(schema, list):
            return "union", schema
        else:
            return schema["type"], schema


def same_float(a, b, code):
    return struct.pack(code, a) == struct.pack(code, b) or (a != a and b != b)


def same(schema, avro, parquet):
    kind, schema = kind_of(schema)
    if kind == "union":
        return same_union(schema, avro, parquet)
    if kind == "null":
        return avro is None and parquet is None
    if parquet is None:
        return False
    if kind == "record":
        if not schema["fields"]:
            return parquet == {"_empty": True}
        return all(same(f["type"], avro[f["name"]], parquet[f["name"]]) for f in schema["fields"])
    if kind == "array":
        return len(avro) == len(parquet) and all(
            same(schema["items"], a, p) for a, p in zip(avro, parquet))
    if kind == "map":  # a key twice: fastavro keeps the last
        pairs = dict(parquet)
        return avro.keys() == pairs.keys() and all(
            same(schema["values"], avro[k], pairs[k]) for k in avro)
    if kind in ("float", "double"):
        return same_float(avro, parquet, "f" if kind == "float" else "d")
    logical = schema.get("logicalType") if isinstance(schema, dict) else None
    if logical == "uuid":
        return avro == (parquet if isinstance(parquet, uuid.UUID) else uuid.UUID(bytes=parquet))
    return avro == parquet


def same_union(branches, avro, parquet):
    others = [b for b in branches if kind_of(b)[0] != "null"]
    if avro is None:
        if len(branches) > 1 and len(others) < len(branches):
            return parquet is None
    if len(branches) == 1 or (len(branches) == 2 and len(others) == 1):
        return same((others or branches)[0], avro, parquet)
    # A struct of which exactly one field is set: fastavro does not say which.
    if parquet is None:
        return False
    at = [i for i, v in enumerate(parquet.values()) if v is not None]
    return len(parquet) == len(others) and len(at) == 1 and same(
        others[at[0]], avro, list(parquet.values())[at[0]])


folder = pathlib.Path(sys.argv[1])
files = rows = 0
for path in sorted(folder.glob("*.avro")):
    with open(path, "rb") as f:
        reader = fastavro.reader(f)
        schema = reader.writer_schema
        wanted = list(reader)
    types.clear()
    learn(schema)
    table = pyarrow.parquet.read_table(path.with_suffix(".parquet"))
    found = table.to_pylist()
    assert len(wanted) == len(found) > 0, (path, len(wanted), len(found))
    for number, (a, p) in enumerate(zip(wanted, found)):
        for field in schema["fields"]:
            assert same(field["type"], a[field["name"]], p[field["name"]]), (
                path, number, field, a[field["name"]], p[field["name"]])
    files += 1
    rows += len(found)
assert files
print(f"{files} files, {rows} rows")
