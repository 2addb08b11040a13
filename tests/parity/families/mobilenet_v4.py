"""MobileNetV4 of timm, without attention."""

import timm

CLASSES = 7
SMALL = (2, 81, 67, 5)
KINKS = ["mobilenetv4_conv_large"]


def models():
    names = [
        "mobilenetv4_conv_small", "mobilenetv4_conv_small_050",
        "mobilenetv4_conv_medium", "mobilenetv4_conv_large",
    ]
    return {name: (lambda name=name: timm.create_model(name, num_classes=CLASSES), SMALL) for name in names}
