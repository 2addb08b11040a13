"""ConvNeXt V2 of timm, its authors' repository and transformers."""

from families.convnext import LARGE, SMALL, of_facebook, of_timm, of_transformers

ODD = (2, 97, 131)


def models():
    small = ["convnextv2_femto", "convnextv2_pico", "convnextv2_nano", "convnextv2_tiny"]
    transformers = of_transformers([2, 2, 6, 2], 40, "ConvNextV2")
    return {
        "convnextv2_atto": (of_timm("convnextv2_atto"), ODD),
        "convnextv2_atto (facebookresearch)": (of_facebook("convnextv2_atto"), SMALL),
        "convnextv2_atto (transformers)": (transformers, SMALL),
        **{name: (of_timm(name), SMALL) for name in small},
        "convnextv2_base": (of_timm("convnextv2_base"), LARGE),
    }
