"""MobileNetV2 of torchvision and timm."""

import timm
import torchvision

CLASSES = 7
ODD = (4, 97, 131)


def models():
    return {
        "mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(num_classes=CLASSES), ODD),
        "mobilenet_v2 (timm)": (lambda: timm.create_model("mobilenetv2_100", num_classes=CLASSES), ODD),
    }
