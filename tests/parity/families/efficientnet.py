"""EfficientNet of torchvision, timm, transformers and efficientnet_pytorch.

    pip install --no-deps efficientnet_pytorch==0.7.1
"""

import efficientnet_pytorch
import timm
import torchvision
import transformers

CLASSES = 7
ODD = (4, 97, 131)
SMALL = (2, 81, 67, 5)
# transformers pads for images whose sides are halved without a remainder.
EVEN = (2, 64, 96, 5)


def of_torchvision(name):
    return lambda: getattr(torchvision.models, name)(num_classes=CLASSES)


def of_timm(name):
    return lambda: timm.create_model(name, num_classes=CLASSES)


def of_efficientnet_pytorch():
    # Without an image size, the padding is computed from that of each input.
    return efficientnet_pytorch.EfficientNet.from_name(
        "efficientnet-b0", num_classes=CLASSES, image_size=None, drop_connect_rate=0.0
    )


def of_transformers():
    config = transformers.EfficientNetConfig(
        width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, num_labels=CLASSES
    )
    return transformers.EfficientNetForImageClassification(config)


def models():
    found = {
        "efficientnet_b0": (of_torchvision("efficientnet_b0"), ODD),
        "efficientnet_b0 (timm)": (of_timm("efficientnet_b0"), ODD),
        "tf_efficientnet_b0": (of_timm("tf_efficientnet_b0"), ODD),
        "tf_efficientnet_b0 (efficientnet_pytorch)": (of_efficientnet_pytorch, SMALL),
        "tf_efficientnet_b0 (transformers)": (of_transformers, EVEN),
    }
    for number in range(1, 5):
        name = f"efficientnet_b{number}"
        found[name] = (of_torchvision(name), SMALL)
        found[f"{name} (timm)"] = (of_timm(name), SMALL)
        found[f"tf_{name}"] = (of_timm(f"tf_{name}"), SMALL)
    return found
