"""MobileNetV3 of torchvision and timm."""

import timm
import torchvision

CLASSES = 7
ODD = (2, 97, 131, 5)
SMALL = (2, 81, 67, 5)


def models():
    found = {
        name: (lambda name=name: getattr(torchvision.models, name)(num_classes=CLASSES), ODD)
        for name in ["mobilenet_v3_large", "mobilenet_v3_small"]
    }
    names = [
        "mobilenetv3_large_100", "mobilenetv3_small_100", "mobilenetv3_small_075", "mobilenetv3_small_050",
        "tf_mobilenetv3_large_100", "tf_mobilenetv3_large_075",
        "tf_mobilenetv3_small_100", "tf_mobilenetv3_small_075",
    ]
    for name in names:
        found[name] = (lambda name=name: timm.create_model(name, num_classes=CLASSES), SMALL)
    return found
