#!/usr/bin/env python3
"""Writes Parquet files in the layout of the Hugging Face Hub, for `crates/data/tests/parquet.rs`.

    pip install pyarrow==26.0.1 pillow==13.0.0
    python3 tests/parity/parquet.py

Writes `crates/data/tests/fixtures/parquet`: images of a single colour, as PNG in a struct of `bytes`
and `path`, and labels whose names are in the metadata of the schema, as `datasets` 4 writes them.
"""

import io
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates/data/tests/fixtures/parquet"
NAMES = ["cat", "dog", "never"]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 3), (number, 2 * number, 3 * number)).save(out, "png")
    return out.getvalue()


def write(file: str, labels: list, label_type: pa.DataType, names: list | None, **options) -> None:
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if names else None
    schema = pa.schema(
        [("id", pa.int32()), ("image", IMAGE), ("label", label_type)], metadata=metadata
    )
    images = [{"bytes": png(i + 1), "path": f"{i}.png"} for i in range(len(labels))]
    rows = {"id": list(range(len(labels))), "image": images, "label": labels}
    table = pa.table(rows, schema=schema)
    (OUT / file).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, OUT / file, row_group_size=3, **options)


def write_groups(name: str, groups: list, group_type: pa.DataType, classes: list) -> None:
    schema = pa.schema([("image", IMAGE), ("Group ID", group_type), ("label", pa.int64())])
    images = [{"bytes": png(i + 1), "path": f"farm/{i}.png"} for i in range(len(groups))]
    rows = {"image": images, "Group ID": groups, "label": classes}
    (OUT / "groups").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(rows, schema=schema), OUT / f"groups/{name}.parquet", row_group_size=9)


def main() -> None:
    # Two shards with several row groups.
    write("hub/data/train-00000-of-00002.parquet", [0, 1, 0, 1, 1], pa.int64(), NAMES)
    write("hub/data/train-00001-of-00002.parquet", [1, 0], pa.int64(), NAMES, compression="zstd")
    write("hub/data/validation-00000-of-00001.parquet", [0, 1], pa.int64(), NAMES)
    write("hub/data/test-00000-of-00001.parquet", [1, 0, 1], pa.int64(), NAMES)
    # One file with text labels, and one with numbers without names.
    write("texts.parquet", ["b", "a", "b", "a"], pa.string(), None, compression="none")
    write("numbers.parquet", [7, 3, 7, 3], pa.int32(), None)
    write("unlabelled.parquet", [0, -1], pa.int64(), NAMES)
    # Every type of labels, and every compression.
    for name in ("uint8", "int16", "uint32", "uint64", "float32", "float64"):
        write(f"types/{name}.parquet", [7, 3, 7, 3], getattr(pa, name)(), None)
    write("types/bool.parquet", [True, False, True, False], pa.bool_(), None)
    write("types/binary.parquet", [b"b", b"a", b"b", b"a"], pa.binary(), None)
    write("fractions.parquet", [0.5, 1.0], pa.float64(), None)
    for name in ("gzip", "brotli", "lz4", "snappy", "zstd"):
        write(f"codecs/{name}.parquet", [7, 3, 7, 3], pa.int64(), None, compression=name)
    # Bytes without a struct, in a column of another name.
    schema = pa.schema([("picture", pa.binary()), ("Class", pa.int64())])
    rows = {"picture": [png(i + 1) for i in range(4)], "Class": [7, 3, 7, 3]}
    pq.write_table(pa.table(rows, schema=schema), OUT / "picture.parquet")
    # Two classes of three groups each, which are text, and numbers of which some are missing.
    classes = [i // 4 % 2 for i in range(24)]
    texts = [f"cow{i // 4}" for i in range(24)]
    numbers = [None if i % 4 == 3 else i // 4 for i in range(24)]
    write_groups("texts", texts, pa.string(), classes)
    write_groups("numbers", numbers, pa.int16(), classes)
    schema = pa.schema([("number", pa.int64()), ("label", pa.int64())])
    pq.write_table(pa.table({"number": [1], "label": [0]}, schema=schema), OUT / "columns.parquet")


if __name__ == "__main__":
    main()
