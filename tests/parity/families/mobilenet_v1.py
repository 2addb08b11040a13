"""MobileNetV1 of timm."""

import timm

CLASSES = 7
SMALL = (2, 81, 67, 5)


def models():
    names = ["mobilenetv1_100", "mobilenetv1_100h", "mobilenetv1_125"]
    return {name: (lambda name=name: timm.create_model(name, num_classes=CLASSES), SMALL) for name in names}
