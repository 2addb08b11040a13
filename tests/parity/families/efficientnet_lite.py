"""EfficientNet-Lite of timm and efficientnet_lite_pytorch.

    pip install --no-deps efficientnet_lite_pytorch==0.1.0
"""

import efficientnet_lite_pytorch
import timm

CLASSES = 7
ODD = (2, 97, 131, 5)
SMALL = (2, 81, 67, 5)


def of_timm(name):
    return lambda: timm.create_model(name, num_classes=CLASSES)


def of_efficientnet_pytorch():
    # Without an image size, the padding is computed from that of each input.
    return efficientnet_lite_pytorch.EfficientNet.from_name(
        "efficientnet-lite0", num_classes=CLASSES, image_size=None, drop_connect_rate=0.0
    )


def models():
    found = {
        "tf_efficientnet_lite0 (efficientnet_pytorch)": (of_efficientnet_pytorch, SMALL),
    }
    for number in range(5):
        for name in (f"efficientnet_lite{number}", f"tf_efficientnet_lite{number}"):
            found[name] = (of_timm(name), ODD if number == 0 else SMALL)
    return found
