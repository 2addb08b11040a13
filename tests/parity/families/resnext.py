"""ResNeXt and wide ResNets of torchvision and timm."""

import timm
import torchvision

CLASSES = 7
ODD = (4, 97, 131)
SMALL = (2, 64, 64, 7)


def models():
    vision = lambda name: lambda: getattr(torchvision.models, name)(num_classes=CLASSES)
    large = ("resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2")
    return {
        "resnext50_32x4d": (vision("resnext50_32x4d"), ODD),
        "resnext101_32x4d": (lambda: timm.create_model("resnext101_32x4d", num_classes=CLASSES), SMALL),
        **{name: (vision(name), SMALL) for name in large},
    }
