"""Vision Transformers of timm, DeiT, torchvision and transformers."""

import timm
import torch
import torchvision
import transformers
from torch import nn

from architectures import uniform

CLASSES = 7


def timms(name, size, **more):
    """timm's model for square images, or for others with a position embedding for squares."""
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        more["dynamic_img_size"] = True
    build = lambda: timm.create_model(name, num_classes=CLASSES, img_size=height, **more)
    return (build, (2, height, width))


class Distilled(nn.Module):
    """DeiT with one head on both tokens, one after the other, in place of the mean of two heads."""

    def __init__(self, name, size):
        super().__init__()
        model = timm.create_model(name, num_classes=CLASSES, img_size=size)
        del model.head, model.head_dist
        for child, module in model.named_children():
            self.add_module(child, module)
        for token in ("cls_token", "dist_token", "pos_embed"):
            self.register_parameter(token, getattr(model, token))
        self.head = nn.Linear(2 * model.embed_dim, CLASSES)

    def forward(self, x):
        x = self.patch_embed(x)
        tokens = [token.expand(len(x), -1, -1) for token in (self.cls_token, self.dist_token)]
        x = torch.cat([*tokens, x], 1) + self.pos_embed
        x = self.norm(self.blocks(x))
        return self.head(x[:, :2].flatten(1))


def config(kind, size, **more):
    # The networks were trained with 1e-6, which timm and the authors have; transformers has 1e-12.
    return kind(
        image_size=size, hidden_size=192, num_hidden_layers=12, num_attention_heads=3,
        intermediate_size=768, layer_norm_eps=1e-6, num_labels=CLASSES, **more,
    )


def models():
    vision = lambda: torchvision.models.VisionTransformer(64, 16, 12, 12, 768, 3072, num_classes=CLASSES)
    vit = lambda: transformers.ViTForImageClassification(config(transformers.ViTConfig, 64))
    return {
        "vit_tiny_patch16_224": timms("vit_tiny_patch16_224", 224),
        "vit_small_patch16_224": timms("vit_small_patch16_224", (96, 64)),
        "vit_small_patch32_224": timms("vit_small_patch32_224", 96),
        "vit_small_patch8_224": timms("vit_small_patch8_224", 40),
        "vit_base_patch16_224": timms("vit_base_patch16_224", 64),
        "vit_base_patch32_224": timms("vit_base_patch32_224", 64),
        "vit_base_patch8_224": timms("vit_base_patch8_224", 32),
        "deit_tiny_patch16_224": timms("deit_tiny_patch16_224", 64),
        "deit_small_patch16_224": timms("deit_small_patch16_224", 64),
        "deit_base_patch16_224": timms("deit_base_patch16_224", 32),
        "deit_tiny_distilled_patch16_224": (
            lambda: Distilled("deit_tiny_distilled_patch16_224", 64), (2, 64, 64),
        ),
        "deit3_small_patch16_224": timms("deit3_small_patch16_224", (64, 96)),
        "deit3_base_patch16_224": timms("deit3_base_patch16_224", 32),
        "vit_b_16": (vision, (2, 64, 64)),
        "vit_tiny_patch16_224 (transformers)": (vit, (2, 64, 64)),
    }


def more():
    """timm's resampling of a position embedding: 3×3 patches to 5×5 and to 2×2."""
    embedding = torch.from_numpy(uniform("pos_embed", 10 * 4).astype("float32")).reshape(1, 10, 4)
    resample = timm.layers.resample_abs_pos_embed
    sides = {str(side): resample(embedding, [side, side]).flatten().tolist() for side in (5, 2)}
    return {"positions": sides}
