#!/usr/bin/env python3
"""Applies torchvision's augmentation to PIL images, for the tests of `crates/data/src/augment`.

    pip install torch==2.15.0 torchvision==0.29.2 pillow==13.0.0
    python3 tests/parity/augment.py

Writes `crates/data/tests/fixtures/augment`: `photo.png`, composed of embedded photographs; one PNG
per operation of RandAugment (bilinear) and per change of colours; and `cases.json`, which describes
each PNG and contains torchvision's table of RandAugment's magnitudes.
"""

import json
import pathlib

from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional
from torchvision.transforms.autoaugment import _apply_op

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "crates/data/tests/fixtures/augment"
SIGNS = ROOT / "datasets/signs/test"
WIDTH, HEIGHT = 66, 50
BILINEAR = transforms.InterpolationMode.BILINEAR
# Magnitude 9 of 30 in both directions, and one beyond the valid range.
AMOUNTS = {
    "ShearX": [0.09, -0.3],
    "ShearY": [-0.09, 0.3],
    "TranslateX": [8.97, -29.9],
    "TranslateY": [-6.8, 22.7],
    "Rotate": [9.0, -30.0],
    "Brightness": [0.27, -0.9],
    "Color": [0.9, -0.27],
    "Contrast": [0.27, -0.9],
    "Sharpness": [0.9, -0.27],
    "Posterize": [7, 4],
    "Solarize": [178.5, 0.0],
    "AutoContrast": [0.0],
    "Equalize": [0.0],
    "Identity": [0.0],
}
HUES = [0.1, -0.1, 0.5, -0.37]


def photo() -> Image.Image:
    tiles = [sorted(folder.iterdir())[0] for folder in sorted(SIGNS.iterdir()) if folder.is_dir()]
    left, right = (Image.open(tile).convert("RGB").resize((33, HEIGHT)) for tile in tiles[1:3])
    whole = Image.new("RGB", (WIDTH, HEIGHT))
    whole.paste(left, (0, 0))
    # Swapped channels give colours that hands do not have.
    red, green, blue = right.split()
    whole.paste(Image.merge("RGB", (blue, red, green)), (33, 0))
    return whole


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    image = photo()
    image.save(OUT / "photo.png", optimize=True)
    cases = []

    def keep(kind: str, amount: float, result: Image.Image) -> None:
        file = f"{kind}-{sum(case['kind'] == kind for case in cases)}.png"
        result.save(OUT / file, optimize=True)
        cases.append({"kind": kind, "amount": amount, "file": file})

    for kind, amounts in AMOUNTS.items():
        for amount in amounts:
            keep(kind, amount, _apply_op(image, kind, amount, BILINEAR, None))
    for hue in HUES:
        keep("Hue", hue, functional.adjust_hue(image, hue))

    space = transforms.RandAugment()._augmentation_space(31, (HEIGHT, WIDTH))
    magnitudes = {
        kind: {
            "signed": signed,
            "values": [float(amounts[i]) if amounts.ndim else float(amounts) for i in (0, 9, 17, 30)],
        }
        for kind, (amounts, signed) in space.items()
    }
    document = {"cases": cases, "magnitudes": magnitudes}
    (OUT / "cases.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
