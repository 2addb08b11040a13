"""Inception-v3 of torchvision and timm, whose names are the same."""

import timm
import torchvision

CLASSES = 7
ODD = (2, 107, 139)


def models():
    vision = lambda: torchvision.models.inception_v3(
        num_classes=CLASSES, aux_logits=False, init_weights=False
    )
    return {
        "inception_v3": (vision, ODD),
        "inception_v3 (timm)": (
            lambda: timm.create_model("inception_v3", num_classes=CLASSES),
            ODD,
        ),
    }
