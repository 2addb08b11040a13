"""Vision Transformers of timm, DeiT and torchvision."""

import timm
import torch
import torchvision

from architectures import uniform

CLASSES = 7


def models():
    def vit(name, size):
        return (lambda: timm.create_model(name, num_classes=CLASSES, img_size=size), (2, size, size))

    vision = lambda: torchvision.models.VisionTransformer(64, 16, 12, 12, 768, 3072, num_classes=CLASSES)
    return {
        "vit_tiny_patch16_224": vit("vit_tiny_patch16_224", 224),
        "vit_small_patch16_224": vit("vit_small_patch16_224", 96),
        "vit_base_patch16_224": vit("vit_base_patch16_224", 64),
        "deit_tiny_patch16_224": vit("deit_tiny_patch16_224", 64),
        "vit_b_16": (vision, (2, 64, 64)),
    }


def more():
    """timm's resampling of a position embedding: 3×3 patches to 5×5 and to 2×2."""
    embedding = torch.from_numpy(uniform("pos_embed", 10 * 4).astype("float32")).reshape(1, 10, 4)
    resample = timm.layers.resample_abs_pos_embed
    sides = {str(side): resample(embedding, [side, side]).flatten().tolist() for side in (5, 2)}
    return {"positions": sides}
