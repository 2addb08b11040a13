"""VGG of torchvision and timm. Further members are in `large.py`."""

import timm
import torchvision

CLASSES = 7
ODD = (2, 97, 131)
SMALL = (2, 64, 64)


def vision(name):
    return lambda: getattr(torchvision.models, name)(num_classes=CLASSES)


def models():
    return {
        "vgg11": (vision("vgg11"), ODD),
        "vgg11_bn (timm)": (lambda: timm.create_model("vgg11_bn", num_classes=CLASSES), SMALL),
    }
