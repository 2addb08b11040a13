"""SE-ResNet and SE-ResNeXt of timm."""

import timm

CLASSES = 7
ODD = (4, 97, 131)
SMALL = (2, 64, 64, 7)


def models():
    build = lambda name: lambda: timm.create_model(name, num_classes=CLASSES)
    odd = ("seresnet18", "seresnext26d_32x4d")
    small = (
        *("seresnet34", "seresnet50", "seresnet152d", "seresnext26t_32x4d", "seresnext50_32x4d"),
        *("seresnext101_32x4d", "seresnext101_32x8d", "seresnext101d_32x8d", "seresnext101_64x4d"),
    )
    return {
        **{name: (build(name), ODD) for name in odd},
        **{name: (build(name), SMALL) for name in small},
    }
