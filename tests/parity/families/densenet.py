"""DenseNet of torchvision and timm, whose names are the same."""

import timm
import torchvision

CLASSES = 7
ODD = (2, 97, 131)
SMALL = (2, 64, 64)


def models():
    vision = lambda name: lambda: getattr(torchvision.models, name)(num_classes=CLASSES)
    return {
        "densenet121": (vision("densenet121"), ODD),
        "densenet121 (timm)": (
            lambda: timm.create_model("densenet121", num_classes=CLASSES),
            SMALL,
        ),
        **{name: (vision(name), SMALL) for name in ("densenet161", "densenet169", "densenet201")},
    }
