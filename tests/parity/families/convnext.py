"""ConvNeXt of torchvision and timm."""

import timm
import torchvision

CLASSES = 7
ODD = (4, 97, 131)


def models():
    return {
        "convnext_tiny": (lambda: torchvision.models.convnext_tiny(num_classes=CLASSES), ODD),
        "convnext_tiny (timm)": (lambda: timm.create_model("convnext_tiny", num_classes=CLASSES), ODD),
    }
