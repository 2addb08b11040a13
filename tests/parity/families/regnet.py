"""RegNet of timm, torchvision and transformers."""

import timm
import torchvision
import transformers

CLASSES = 7
ODD = (4, 97, 131)
SMALL = (2, 64, 64, 7)


def published(**config):
    """As the configurations of facebook/regnet-y-002 and facebook/regnet-x-002."""
    return lambda: transformers.RegNetForImageClassification(
        transformers.RegNetConfig(
            num_labels=CLASSES, depths=[1, 1, 4, 7], hidden_sizes=[24, 56, 152, 368], groups_width=8, **config
        )
    )


def models():
    build = lambda name: lambda: timm.create_model(name, num_classes=CLASSES)
    vision = lambda name: lambda: getattr(torchvision.models, name)(num_classes=CLASSES)
    odd = ("regnety_002", "regnety_008", "regnetx_004")
    small = (
        *("regnety_004", "regnety_006", "regnety_008_tv", "regnety_016", "regnety_032", "regnety_040"),
        *("regnetx_002", "regnetx_004_tv", "regnetx_006", "regnetx_008", "regnetx_016", "regnetx_032"),
    )
    torchvisions = (
        *("regnet_y_400mf", "regnet_y_800mf", "regnet_y_1_6gf", "regnet_y_3_2gf"),
        *("regnet_x_400mf", "regnet_x_800mf", "regnet_x_1_6gf", "regnet_x_3_2gf"),
    )
    return {
        **{name: (build(name), ODD) for name in odd},
        **{name: (build(name), SMALL) for name in small},
        **{f"{name} (torchvision)": (vision(name), SMALL) for name in torchvisions},
        "regnety_002 (transformers)": (published(layer_type="y"), ODD),
        "regnetx_002 (transformers)": (published(layer_type="x"), SMALL),
    }
