#!/usr/bin/env python3
"""Writes how timm and torchvision prepare images for the default weights of networks, for
`crates/model/tests/preprocessing.rs`.

    pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31
    python3 tests/parity/preprocessing.py > tests/fixtures/preprocessing.json
"""

import json

import torchvision
from timm.models import get_pretrained_cfg

from twins import MOBILE

TORCHVISION = ["mobilenet_v3_large", "mobilenet_v3_small", "efficientnet_v2_s", "efficientnet_v2_m"]


def of_timm(name: str) -> dict:
    found = get_pretrained_cfg(name)
    return {
        "image_size": found.input_size[1],
        "resized": int(found.input_size[1] / found.crop_pct),
        "filter": found.interpolation,
        "mean": found.mean,
        "std": found.std,
    }


def of_torchvision(name: str) -> dict:
    found = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    return {
        "image_size": found.crop_size[0],
        "resized": found.resize_size[0],
        "filter": found.interpolation.value,
        "mean": found.mean,
        "std": found.std,
    }


def main() -> None:
    result = {name: of_timm(name) for name in MOBILE}
    result |= {name: of_torchvision(name) for name in TORCHVISION}
    print(json.dumps(result, indent=0))


if __name__ == "__main__":
    main()
