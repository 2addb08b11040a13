#!/usr/bin/env python3
"""Finds the models of timm that have the same tensors as a network here, for `weights/twins.rs`.

    pip install torch==2.15.0 timm==1.0.31
    python3 tests/parity/twins.py

Names and shapes are compared, without the head. Prints a JSON object; models for other image sizes and
those that differ in their preprocessing alone are among the results.
"""

import collections
import json
import sys

import timm
import torch

OURS = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "mobilenet_v2": "mobilenetv2_100",
    "efficientnet_b0": "efficientnet_b0",
    "convnext_tiny": "convnext_tiny",
    "convnext_small": "convnext_small",
    "convnext_base": "convnext_base",
    "convnext_large": "convnext_large",
    "convnext_nano": "convnext_nano",
    "convnextv2_nano": "convnextv2_nano",
    "convnextv2_tiny": "convnextv2_tiny",
    "convnextv2_base": "convnextv2_base",
    "densenet121": "densenet121",
    "swin_tiny_patch4_window7_224": "swin_tiny_patch4_window7_224",
    "swin_small_patch4_window7_224": "swin_small_patch4_window7_224",
    "swin_base_patch4_window7_224": "swin_base_patch4_window7_224",
    "swinv2_tiny_window8_256": "swinv2_tiny_window8_256",
    "swinv2_small_window8_256": "swinv2_small_window8_256",
    "swinv2_base_window8_256": "swinv2_base_window8_256",
    "vgg16": "vgg16",
    "vgg16_bn": "vgg16_bn",
    "vit_tiny_patch16_224": "vit_tiny_patch16_224",
    "vit_small_patch16_224": "vit_small_patch16_224",
    "vit_base_patch16_224": "vit_base_patch16_224",
}


def body(name):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=5)
    return frozenset(
        (key, tuple(value.shape))
        for key, value in model.state_dict().items()
        if "num_batches_tracked" not in key and not key.startswith(("fc.", "head.", "classifier."))
    )


def main() -> None:
    wanted = {ours: body(name) for ours, name in OURS.items()}
    twins = collections.defaultdict(list)
    for name in timm.list_models():
        try:
            found = body(name)
        except Exception as error:  # a model that cannot be built without data
            print("skipped", name, repr(error)[:80], file=sys.stderr)
            continue
        for ours, tensors in wanted.items():
            if found == tensors and name != OURS[ours]:
                twins[ours].append(name)
    print(json.dumps(twins, indent=1))


if __name__ == "__main__":
    main()
