"""EfficientNetV2 of torchvision and timm."""

import timm
import torchvision

CLASSES = 7
SMALL = (2, 81, 67, 5)
LARGE = (2, 65, 67, 9)


def models():
    found = {
        "efficientnet_v2_s": (lambda: torchvision.models.efficientnet_v2_s(num_classes=CLASSES), SMALL),
        "efficientnet_v2_m": (lambda: torchvision.models.efficientnet_v2_m(num_classes=CLASSES), LARGE),
    }
    sizes = {
        "tf_efficientnetv2_s": SMALL,
        "tf_efficientnetv2_m": LARGE,
        "tf_efficientnetv2_b0": SMALL,
        "tf_efficientnetv2_b1": SMALL,
        "tf_efficientnetv2_b2": SMALL,
        "tf_efficientnetv2_b3": SMALL,
        "efficientnetv2_rw_t": SMALL,
        "efficientnetv2_rw_s": SMALL,
    }
    for name, size in sizes.items():
        found[name] = (lambda name=name: timm.create_model(name, num_classes=CLASSES), size)
    return found
