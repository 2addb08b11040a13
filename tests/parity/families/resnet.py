"""ResNet of torchvision, timm and transformers."""

import timm
import torchvision
import transformers

CLASSES = 7
ODD = (4, 97, 131)
SMALL = (2, 64, 64, 7)


def published(**config):
    """As the configurations of microsoft/resnet-18 and microsoft/resnet-50."""
    return lambda: transformers.ResNetForImageClassification(
        transformers.ResNetConfig(num_labels=CLASSES, downsample_in_first_stage=False, **config)
    )


def models():
    vision = lambda name: lambda: getattr(torchvision.models, name)(num_classes=CLASSES)
    basic = {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2]}
    bottleneck = {"layer_type": "bottleneck", "hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 6, 3]}
    return {
        **{name: (vision(name), ODD) for name in ("resnet18", "resnet34", "resnet50")},
        "resnet26": (lambda: timm.create_model("resnet26", num_classes=CLASSES), ODD),
        **{name: (vision(name), SMALL) for name in ("resnet101", "resnet152")},
        "resnet18 (transformers)": (published(**basic), ODD),
        "resnet50 (transformers)": (published(**bottleneck), SMALL),
    }
