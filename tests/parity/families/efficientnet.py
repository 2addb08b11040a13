"""EfficientNet of torchvision and timm."""

import timm
import torchvision

CLASSES = 7
ODD = (4, 97, 131)


def models():
    return {
        "efficientnet_b0": (lambda: torchvision.models.efficientnet_b0(num_classes=CLASSES), ODD),
        "efficientnet_b0 (timm)": (lambda: timm.create_model("efficientnet_b0", num_classes=CLASSES), ODD),
    }
