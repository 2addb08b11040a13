#!/usr/bin/env python3
"""Computes logits and gradients of every architecture in torchvision and timm, for `tests/architectures.rs`.

    pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31
    python3 tests/parity/architectures.py > tests/fixtures/architectures.json

Every tensor of a state dict and every image is a formula of name and index, which the test
repeats. Only the results are stored: logits in evaluation and training mode, and in both modes the
norm of each parameter's gradient of the mean cross-entropy for the labels 0, 1, 2, …

Everything is computed in float64. In float32, PyTorch's own gradients in training mode are up to
1 % off (MobileNetV2), because a value at the kink of a ReLU is rounded to its other side, and batch
normalisation over few pixels magnifies the difference. For MobileNetV2 in evaluation mode, the
script also determines which values are nearer to a kink of ReLU6 than the rounding of float32, and
by how much the norm of each gradient changes if they are on the other side (`kinks`, the sum over
these values).
"""

import json
import sys
import zlib

import numpy
import timm
import torch
import torchvision
from torch import nn

import logits as small

CLASSES = 7


def uniform(name: str, count: int) -> numpy.ndarray:
    """Uniform in [-1, 1): a hash of the index, seeded by the name's CRC-32."""
    x = numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(zlib.crc32(name.encode()))
    mask = numpy.uint64(0xFFFFFFFF)
    x = (x * numpy.uint64(0x9E3779B1)) & mask
    x ^= x >> numpy.uint64(15)
    x = (x * numpy.uint64(0x85EBCA77)) & mask
    x ^= x >> numpy.uint64(13)
    return x.astype(numpy.float64) / 2.0**31 - 1.0


def fill(model: nn.Module) -> None:
    state = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = tensor
            continue
        u = uniform(name, tensor.numel())
        dims = [n for n in tensor.shape if n != 1]
        if name.endswith("running_var"):
            values = 1.0 + 0.3 * u
        elif tensor.dim() >= 2 and len(dims) > 1 and not name.endswith(("pos_embed", "pos_embedding")):
            values = u * (3.0 / tensor[0].numel()) ** 0.5  # variance 1 / inputs
        elif is_norm_weight(name, model):
            values = 1.0 + 0.3 * u
        else:
            values = 0.1 * u
        state[name] = torch.from_numpy(values.astype(numpy.float32)).reshape(tensor.shape)
    model.load_state_dict(state)


def is_norm_weight(name: str, model: nn.Module) -> bool:
    layer, _, field = name.rpartition(".")
    kinds = (nn.BatchNorm2d, nn.LayerNorm)
    return field == "weight" and isinstance(model.get_submodule(layer), kinds)


def images(batch: int, height: int, width: int) -> torch.Tensor:
    values = uniform("images", batch * 3 * height * width)
    return torch.from_numpy(values.astype(numpy.float32)).reshape(batch, 3, height, width)


def without_chance(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, (nn.Dropout, torchvision.ops.StochasticDepth)):
            module.p = 0.0
    return model


class Clamp(torch.autograd.Function):
    """ReLU6 with the values at `places` moved to the other side of the nearest kink."""

    @staticmethod
    def forward(ctx, x, places):
        passes = ((x > 0) & (x < 6)).flatten()
        passes[places] = ~passes[places]
        ctx.save_for_backward(passes.view_as(x))
        return x.clamp(0, 6)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None


def through(model: nn.Module, x: torch.Tensor, other_side: tuple[int, int] | None = None):
    """Returns the norms of the gradients and the inputs of each ReLU6."""
    inputs = []
    for index, module in enumerate(m for m in model.modules() if isinstance(m, nn.ReLU6)):
        places = [other_side[1]] if other_side and other_side[0] == index else []

        def forward(x, places=places):
            inputs.append(x.detach().double().flatten())
            return Clamp.apply(x, places)

        module.forward = forward
    model.zero_grad()
    nn.functional.cross_entropy(model(x), torch.arange(len(x)) % CLASSES).backward()
    return {name: p.grad.double().norm().item() for name, p in model.named_parameters()}, inputs


def kinks(model: nn.Module, batch: int, height: int, width: int) -> dict:
    fill(without_chance(model))
    model.eval()
    x = images(batch, height, width)
    _, single = through(model.float(), x)
    exact, double = through(model.double(), x.double())
    changes = dict.fromkeys(exact, 0.0)
    for layer, (a, b) in enumerate(zip(single, double)):
        near = torch.minimum(b.abs(), (b - 6).abs()) < (a - b).abs().max()
        for place in near.nonzero().flatten().tolist():
            norms, _ = through(model, x.double(), (layer, place))
            for name, norm in norms.items():
                changes[name] += abs(norm - exact[name])
    return {name: float(f"{change:.3g}") for name, change in changes.items()}


def run(model: nn.Module, batch: int, height: int, width: int) -> dict:
    fill(without_chance(model))
    model.double()
    result = {"batch": batch, "height": height, "width": width}
    for mode in ("eval", "train"):
        model.train(mode == "train")
        model.zero_grad()
        output = model(images(batch, height, width).double())
        nn.functional.cross_entropy(output, torch.arange(batch) % CLASSES).backward()
        result[mode] = {
            "logits": [[float(f"{v:.9g}") for v in row] for row in output.tolist()],
            "gradient_norms": {
                name: float(f"{p.grad.norm().item():.8g}") for name, p in model.named_parameters()
            },
        }
    return result


def main() -> None:
    torch.set_num_threads(2)
    odd = (4, 97, 131)
    vision = lambda name: getattr(torchvision.models, name)(num_classes=CLASSES)
    vit = lambda name, size: timm.create_model(name, num_classes=CLASSES, img_size=size)
    models = {
        **{
            f"resnet{6 * n + 2}": (small.ResNet(n, 1, CLASSES), (4, 33, 47))
            for n in (3, 5, 7, 9)
        },
        "resnet18": (vision("resnet18"), odd),
        "resnet34": (vision("resnet34"), odd),
        "resnet50": (vision("resnet50"), odd),
        "mobilenet_v2": (vision("mobilenet_v2"), odd),
        "efficientnet_b0": (vision("efficientnet_b0"), odd),
        "convnext_tiny": (vision("convnext_tiny"), odd),
        "vit_tiny_patch16_224": (vit("vit_tiny_patch16_224", 224), (2, 224, 224)),
        "vit_small_patch16_224": (vit("vit_small_patch16_224", 96), (2, 96, 96)),
        "vit_base_patch16_224": (vit("vit_base_patch16_224", 64), (2, 64, 64)),
        "deit_tiny_patch16_224": (vit("deit_tiny_patch16_224", 64), (2, 64, 64)),
        "vit_b_16": (
            torchvision.models.VisionTransformer(64, 16, 12, 12, 768, 3072, num_classes=CLASSES),
            (2, 64, 64),
        ),
        # The same networks with timm's names.
        "mobilenet_v2 (timm)": (timm.create_model("mobilenetv2_100", num_classes=CLASSES), odd),
        "efficientnet_b0 (timm)": (timm.create_model("efficientnet_b0", num_classes=CLASSES), odd),
        "convnext_tiny (timm)": (timm.create_model("convnext_tiny", num_classes=CLASSES), odd),
    }
    result = {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "timm": timm.__version__,
        "models": {},
    }
    for name, (model, size) in models.items():
        print(name, file=sys.stderr)
        result["models"][name] = run(model, *size)
        if name.startswith("mobilenet"):
            result["models"][name]["eval"]["kinks"] = kinks(model, *size)
    # timm's resampling of a position embedding: 3×3 patches to 5×5 and to 2×2.
    embedding = torch.from_numpy(uniform("pos_embed", 10 * 4).astype(numpy.float32)).reshape(1, 10, 4)
    resample = timm.layers.resample_abs_pos_embed
    result["positions"] = {
        str(side): resample(embedding, [side, side]).flatten().tolist() for side in (5, 2)
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
