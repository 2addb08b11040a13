"""Writes the sizes and the work of some of timm's models, as PyTorch counts them:

    python tests/parity/figures.py > tests/fixtures/figures.json

Multiply-accumulates are half of what torch.utils.flop_counter counts for one image, without the head.
"""

import json

import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

NAMES = [
    "resnet18",
    "resnet50",
    "mobilenetv2_100",
    "efficientnet_b0",
    "convnext_tiny",
    "vit_small_patch16_224",
    "vit_small_patch14_dinov2",
    "eva02_tiny_patch14_224",
]


def figures(name):
    model = timm.create_model(name, pretrained=False, num_classes=0).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *model.pretrained_cfg["input_size"]))
    return {
        "pixels": model.pretrained_cfg["input_size"][1],
        "parameters": sum(p.numel() for p in model.parameters()),
        "multiply_accumulates": counter.get_total_flops() // 2,
    }


print(json.dumps({name: figures(name) for name in NAMES}, indent=1))
