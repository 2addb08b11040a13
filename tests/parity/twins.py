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

# MobileNets and EfficientNets.
MOBILE = """
    mobilenetv2_050 mobilenetv2_140 mobilenetv2_110d mobilenetv2_120d efficientnet_b0 efficientnet_b1
    efficientnet_b2 efficientnet_b3 efficientnet_b4 tf_efficientnet_b0 tf_efficientnet_b1
    tf_efficientnet_b2 tf_efficientnet_b3 tf_efficientnet_b4 efficientnet_lite0 efficientnet_lite1
    efficientnet_lite2 efficientnet_lite3 efficientnet_lite4 tf_efficientnet_lite0 tf_efficientnet_lite1
    tf_efficientnet_lite2 tf_efficientnet_lite3 tf_efficientnet_lite4 tf_efficientnetv2_s
    tf_efficientnetv2_m tf_efficientnetv2_b0 tf_efficientnetv2_b1 tf_efficientnetv2_b2
    tf_efficientnetv2_b3 efficientnetv2_rw_t efficientnetv2_rw_s mobilenetv3_large_100
    mobilenetv3_small_100 mobilenetv3_small_075 mobilenetv3_small_050 tf_mobilenetv3_large_100
    tf_mobilenetv3_large_075 tf_mobilenetv3_small_100 tf_mobilenetv3_small_075 mobilenetv4_conv_small
    mobilenetv4_conv_small_050 mobilenetv4_conv_medium mobilenetv4_conv_large mobilenetv1_100
    mobilenetv1_100h mobilenetv1_125
""".split()
OURS = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "mobilenet_v2": "mobilenetv2_100",
    **{name: name for name in MOBILE},
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
            if found == tensors and name not in OURS.values():
                twins[ours].append(name)
    print(json.dumps(twins, indent=1))


if __name__ == "__main__":
    main()
