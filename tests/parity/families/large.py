"""Members of families with so many parameters that comparing them takes minutes."""

from families import convnext, vgg


def models():
    others = ["vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]
    return {
        "convnext_large": (convnext.of_timm("convnext_large"), convnext.LARGE),
        **{name: (vgg.vision(name), vgg.SMALL) for name in others},
    }
