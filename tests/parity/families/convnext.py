"""ConvNeXt of torchvision, timm, its authors' repository and transformers. The largest is in `large.py`."""

import re

import timm
import torchvision
import transformers
from timm.models.convnext import checkpoint_filter_fn

from renamed import Renamed

CLASSES = 7
ODD = (4, 97, 131)
SMALL = (2, 64, 64)
# The last stage of large members has a single pixel.
LARGE = (2, 32, 32)


def of_timm(name):
    return lambda: timm.create_model(name, num_classes=CLASSES)


def of_facebook(name):
    """The names before timm's conversion, which must give timm's names and shapes again."""

    def facebook(name):
        name = re.sub(r"^stem\.", "downsample_layers.0.", name)
        name = re.sub(r"^stages\.(\d)\.downsample", r"downsample_layers.\1", name)
        name = re.sub(r"^stages\.(\d)\.blocks", r"stages.\1", name)
        name = name.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        name = name.replace("mlp.grn.weight", "grn.gamma").replace("mlp.grn.bias", "grn.beta")
        return name.replace("head.norm", "norm").replace("head.fc", "head")

    def shape(name, tensor):
        if ".grn." in name:
            return (1, 1, 1, *tensor.shape)
        if ".pwconv" in name and name.endswith("weight"):
            return tensor.shape[:2]
        return tensor.shape

    def build():
        model = of_timm(name)()
        renamed = Renamed(model, facebook, shape)
        converted = checkpoint_filter_fn(renamed.state_dict(), model)
        assert {name: tensor.shape for name, tensor in converted.items()} == {
            name: tensor.shape for name, tensor in model.state_dict().items()
        }
        return renamed

    return build


def of_transformers(depths, width, version="ConvNext"):
    config = getattr(transformers, f"{version}Config")(
        depths=depths,
        hidden_sizes=[width << stage for stage in range(4)],
        num_labels=CLASSES,
        # The authors' value, which transformers has in all layers but the last.
        layer_norm_eps=1e-6,
    )
    return lambda: getattr(transformers, f"{version}ForImageClassification")(config)


def models():
    vision = lambda name: lambda: getattr(torchvision.models, name)(num_classes=CLASSES)
    small = ["convnext_atto", "convnext_femto", "convnext_pico", "convnext_nano"]
    large = ["convnext_small", "convnext_base"]
    return {
        "convnext_tiny": (vision("convnext_tiny"), ODD),
        "convnext_tiny (timm)": (of_timm("convnext_tiny"), ODD),
        "convnext_tiny (facebookresearch)": (of_facebook("convnext_tiny"), SMALL),
        "convnext_tiny (transformers)": (of_transformers([3, 3, 9, 3], 96), SMALL),
        **{name: (of_timm(name), SMALL) for name in small},
        **{name: (of_timm(name), LARGE) for name in large},
    }
