"""Swin Transformers of timm, torchvision, the authors' repository and transformers.

timm and transformers divide maps into windows as torchvision does for their own image size only, so the
names of timm's larger members and of the authors are those of torchvision's model, renamed.
"""

import re

import timm
import torch
import torchvision
import transformers
from timm.models.swin_transformer import checkpoint_filter_fn

from renamed import Renamed

CLASSES = 7
ODD = (2, 97, 131)
SMALL = (2, 32, 32)


# torchvision stores them, the others compute them.
BUFFERS = ["relative_position_index", "relative_coords_table"]


def vision(name):
    def build():
        model = getattr(torchvision.models, name)(num_classes=CLASSES)
        for module in model.modules():
            for buffer in BUFFERS:
                if buffer in module._buffers:
                    module._non_persistent_buffers_set.add(buffer)
        return model

    return build


def original(name):
    """The authors' name of torchvision's."""
    name = name.replace("features.0.0", "patch_embed.proj").replace("features.0.2", "patch_embed.norm")
    name = re.sub(r"^features\.([246])\.", lambda m: f"layers.{int(m[1]) // 2 - 1}.downsample.", name)
    name = re.sub(r"^features\.([1357])\.", lambda m: f"layers.{int(m[1]) // 2}.blocks.", name)
    return name.replace("mlp.0", "mlp.fc1").replace("mlp.3", "mlp.fc2")


def of_timm(name):
    """timm's name of torchvision's."""
    name = re.sub(r"layers\.(\d)\.down", lambda m: f"layers.{int(m[1]) + 1}.down", original(name))
    return name.replace("head.", "head.fc.")


def of(names, theirs, ours):
    """torchvision's model under other names, with which timm must have it too."""

    def build():
        model = Renamed(vision(ours)(), names)
        with torch.device("meta"):
            timms = timm.create_model(theirs, num_classes=CLASSES)
        found = checkpoint_filter_fn(dict(model.state_dict()), timms)
        shapes = lambda state: {name: tensor.shape for name, tensor in state.items()}
        assert shapes(found) == shapes(timms.state_dict())
        return model

    return build


def models():
    config = transformers.SwinConfig(num_labels=CLASSES)
    tiny, small, base = (f"swin_{size}_patch4_window7_224" for size in ("tiny", "small", "base"))
    return {
        tiny: (lambda: timm.create_model(tiny, num_classes=CLASSES), (1, 224, 224)),
        f"{tiny} (torchvision)": (vision("swin_t"), ODD),
        f"{tiny} (microsoft)": (of(original, tiny, "swin_t"), SMALL),
        f"{tiny} (transformers)": (
            lambda: transformers.SwinForImageClassification(config),
            (1, 224, 224),
        ),
        small: (of(of_timm, small, "swin_s"), SMALL),
        f"{small} (torchvision)": (vision("swin_s"), SMALL),
        base: (of(of_timm, base, "swin_b"), SMALL),
        f"{base} (torchvision)": (vision("swin_b"), SMALL),
    }
