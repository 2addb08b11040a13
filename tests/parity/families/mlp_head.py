"""Networks whose head has a hidden layer."""

import timm
import torchvision
from torch import nn

CLASSES = 7
HEAD_HIDDEN = 11
SMALL = (2, 64, 64, 7)


def with_hidden(model, place, name):
    """The model with a perceptron in place of the layer of this name."""
    layer = getattr(place(model), name)
    head = nn.Sequential(
        nn.Linear(layer.in_features, HEAD_HIDDEN), nn.GELU(), nn.Linear(HEAD_HIDDEN, CLASSES)
    )
    setattr(place(model), name, head)
    return model


def models():
    vision, vit = torchvision.models, "vit_tiny_patch16_224"
    return {
        "resnet18": (lambda: with_hidden(vision.resnet18(), lambda model: model, "fc"), SMALL),
        "mobilenet_v2": (
            lambda: with_hidden(vision.mobilenet_v2(), lambda model: model.classifier, "1"),
            SMALL,
        ),
        "densenet121 (timm)": (
            lambda: with_hidden(timm.create_model("densenet121"), lambda model: model, "classifier"),
            SMALL,
        ),
        vit: (
            lambda: with_hidden(timm.create_model(vit, img_size=32), lambda model: model, "head"),
            (2, 32, 32),
        ),
        "convnext_atto": (
            lambda: with_hidden(timm.create_model("convnext_atto"), lambda model: model.head, "fc"),
            SMALL,
        ),
    }
