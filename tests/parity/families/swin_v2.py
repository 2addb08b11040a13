"""The second version of Swin Transformers of timm, torchvision and transformers."""

import timm
import transformers

from families.swin import CLASSES, ODD, SMALL, vision


def models():
    config = transformers.Swinv2Config(num_labels=CLASSES, image_size=256, window_size=8)
    tiny, small, base = (f"swinv2_{size}_window8_256" for size in ("tiny", "small", "base"))
    enlarged = "swinv2_tiny_window16_256"
    return {
        tiny: (lambda: timm.create_model(tiny, num_classes=CLASSES), (1, 256, 256)),
        f"{tiny} (torchvision)": (vision("swin_v2_t"), ODD),
        f"{tiny} (transformers)": (
            lambda: transformers.Swinv2ForImageClassification(config),
            (1, 256, 256),
        ),
        enlarged: (lambda: timm.create_model(enlarged, num_classes=CLASSES), (1, 256, 256, 10)),
        f"{small} (torchvision)": (vision("swin_v2_s"), SMALL),
        f"{base} (torchvision)": (vision("swin_v2_b"), SMALL),
    }
