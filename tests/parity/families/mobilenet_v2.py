"""MobileNetV2 of torchvision, timm and transformers."""

import timm
import torchvision
import transformers

CLASSES = 7
ODD = (4, 97, 131)
SMALL = (2, 81, 67, 5)
KINKS = ["mobilenet_v2", "mobilenet_v2 (timm)"]


def of_timm(name):
    return lambda: timm.create_model(name, num_classes=CLASSES)


def of_transformers(width):
    config = transformers.MobileNetV2Config(depth_multiplier=width, num_labels=CLASSES)
    return lambda: transformers.MobileNetV2ForImageClassification(config)


def models():
    return {
        "mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(num_classes=CLASSES), ODD),
        "mobilenet_v2 (timm)": (of_timm("mobilenetv2_100"), ODD),
        "mobilenetv2_050": (of_timm("mobilenetv2_050"), SMALL),
        "mobilenetv2_140": (of_timm("mobilenetv2_140"), SMALL),
        "mobilenetv2_110d": (of_timm("mobilenetv2_110d"), SMALL),
        "mobilenetv2_120d": (of_timm("mobilenetv2_120d"), SMALL),
        "mobilenet_v2_1.0_224": (of_transformers(1.0), SMALL),
        "mobilenet_v2_1.4_224": (of_transformers(1.4), SMALL),
        "mobilenet_v2_0.75_160": (of_transformers(0.75), SMALL),
        "mobilenet_v2_0.35_96": (of_transformers(0.35), SMALL),
    }
