"""ResNet with the deep stems of timm."""

import timm

CLASSES = 7
# Odd at every shortcut with means: 97, 49, 25, 13, 7 and 4 pixels, and 131, 66, 33, 17, 9 and 5.
ODD = (4, 97, 131)
SMALL = (2, 64, 64, 7)


def models():
    build = lambda name: lambda: timm.create_model(name, num_classes=CLASSES)
    odd = ("resnet10t", "resnet18d", "resnet26d")
    small = (
        *("resnet14t", "resnet26t", "resnet34d", "resnet50d", "resnet101d", "resnet152d"),
        *("resnet50c", "resnet50s"),
    )
    return {
        **{name: (build(name), ODD) for name in odd},
        **{name: (build(name), SMALL) for name in small},
    }
