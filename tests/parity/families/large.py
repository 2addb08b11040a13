"""Members of families with so many parameters that comparing them takes minutes."""

import timm

from families import convnext, vgg
from families.swin import CLASSES


def of_timm(name, side):
    return lambda: timm.create_model(name, num_classes=CLASSES), (1, side, side, 20)


def models():
    others = ["vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]
    return {
        "convnext_large": (convnext.of_timm("convnext_large"), convnext.LARGE),
        "swin_base_patch4_window12_384": of_timm("swin_base_patch4_window12_384", 384),
        "swinv2_base_window12to16_192to256": of_timm("swinv2_base_window12to16_192to256", 256),
        "swinv2_base_window12to24_192to384": of_timm("swinv2_base_window12to24_192to384", 384),
        **{name: (vgg.vision(name), vgg.SMALL) for name in others},
    }
