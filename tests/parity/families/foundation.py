"""DINOv2, DINOv3, CLIP, SigLIP, BEiT and EVA-02 of timm, and the first four of transformers, with a head on the
class token or what takes its place."""

import timm
import transformers
from torch import nn

from families.vit import CLASSES, timms


class Dinov2(transformers.Dinov2ForImageClassification):
    """With a head on the class token alone, as timm has it."""

    def __init__(self, config):
        super().__init__(config)
        self.classifier = nn.Linear(config.hidden_size, CLASSES)

    def forward(self, images):
        return self.classifier(self.dinov2(images).last_hidden_state[:, 0])


class Dinov2Registers(transformers.Dinov2WithRegistersForImageClassification):
    folded = True

    def __init__(self, config):
        super().__init__(config)
        self.classifier = nn.Linear(config.hidden_size, CLASSES)

    def forward(self, images):
        return self.classifier(self.dinov2_with_registers(images).last_hidden_state[:, 0])


class Dinov3(transformers.DINOv3ViTModel):
    def __init__(self, config):
        super().__init__(config)
        self.classifier = nn.Linear(config.hidden_size, CLASSES)

    def forward(self, images):
        return self.classifier(super().forward(images).pooler_output)


class Clip(transformers.CLIPForImageClassification):
    """With the head where CLIP itself has its projection."""

    def __init__(self, config):
        super().__init__(config)
        self.classifier = nn.Linear(config.vision_config.hidden_size, CLASSES)

    def forward(self, images):
        return self.classifier(self.vision_model(images).pooler_output)


class Siglip(transformers.SiglipForImageClassification):
    def __init__(self, config):
        super().__init__(config)
        self.classifier = nn.Linear(config.vision_config.hidden_size, CLASSES)

    def forward(self, images):
        return self.classifier(self.vision_model(images).pooler_output)


def small(**more):
    return dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, **more)


def base(**more):
    return dict(
        hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, **more
    )


def models():
    t = transformers
    dinov2 = lambda: Dinov2(t.Dinov2Config(**small(image_size=56, patch_size=14)))
    registers = lambda: Dinov2Registers(
        t.Dinov2WithRegistersConfig(**small(image_size=56, patch_size=14))
    )
    dinov3 = lambda: Dinov3(
        t.DINOv3ViTConfig(**small(intermediate_size=1536, image_size=64, num_register_tokens=4))
    )
    plus = lambda: Dinov3(
        t.DINOv3ViTConfig(
            **small(intermediate_size=1536, image_size=64, num_register_tokens=4),
            use_gated_mlp=True, hidden_act="silu",
        )
    )
    clip = lambda: Clip(t.CLIPConfig(vision_config=base(image_size=64, patch_size=32)))
    siglip = lambda: Siglip(t.SiglipConfig(vision_config=base(image_size=64, patch_size=16)))
    token = dict(global_pool="token")
    return {
        "dinov2_small": timms("vit_small_patch14_dinov2", (70, 98)),
        "dinov2_base": timms("vit_base_patch14_dinov2", 56),
        "dinov2_small_reg": timms("vit_small_patch14_reg4_dinov2", (70, 56)),
        "dinov2_base_reg": timms("vit_base_patch14_reg4_dinov2", 56),
        "dinov3_small": timms("vit_small_patch16_dinov3_qkvb", 80, **token),
        "dinov3_small_plus": timms("vit_small_plus_patch16_dinov3_qkvb", 64, **token),
        "dinov3_base": timms("vit_base_patch16_dinov3_qkvb", 48, **token),
        "vit_base_patch32_clip_224": timms("vit_base_patch32_clip_224", 96),
        "vit_base_patch16_clip_224": timms("vit_base_patch16_clip_224", 64),
        "vit_base_patch32_clip_quickgelu_224 (timm)": timms("vit_base_patch32_clip_quickgelu_224", 64),
        "vit_base_patch16_clip_quickgelu_224 (timm)": timms("vit_base_patch16_clip_quickgelu_224", 64),
        "vit_base_patch16_siglip_224": timms("vit_base_patch16_siglip_224", 64),
        "beit_base_patch16_224": timms("beit_base_patch16_224", 224),
        "eva02_tiny_patch14_336": timms("eva02_tiny_patch14_336", 70),
        "eva02_small_patch14_336": timms("eva02_small_patch14_336", 56),
        "eva02_base_patch14_448": timms("eva02_base_patch14_448", 42),
        "dinov2_small (transformers)": (dinov2, (2, 56, 56)),
        "dinov2_small_reg (transformers)": (registers, (2, 56, 56)),
        "dinov3_small (transformers 5)": (dinov3, (2, 64, 64)),
        "dinov3_small_plus (transformers 5)": (plus, (2, 64, 64)),
        "vit_base_patch32_clip_quickgelu_224 (transformers)": (clip, (2, 64, 64)),
        "siglip_base_patch16_224 (transformers)": (siglip, (2, 64, 64)),
    }
