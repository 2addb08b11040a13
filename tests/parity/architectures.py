#!/usr/bin/env python3
"""Computes logits and gradients of a family's architectures in PyTorch's libraries, for
`crates/model/tests/architectures.rs`.

    pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31 transformers==5.24.0
    python3 tests/parity/architectures.py FAMILY > tests/fixtures/architectures/FAMILY.json

The families are the modules in `families/`: each has `models()`, from a name, with a library in
brackets if the architecture has names of several, to a function that builds the model, and a size
`(batch, height, width)`. With a fourth number `n`, only the gradient of every `n`-th parameter is stored: enough
for the larger members of a family.

Every tensor of a state dict and every image is a formula of name and index, which the test
repeats. Only the results are stored: logits in evaluation and training mode, and in both modes the
norm of each parameter's gradient of the mean cross-entropy for the labels 0, 1, 2, …

Everything is computed in float64. In float32, PyTorch's own gradients in training mode are up to
1 % off (MobileNetV2), because a value at the kink of a ReLU is rounded to its other side, and batch
normalisation over few pixels magnifies the difference. For the models in a family's `KINKS` in
evaluation mode, the script also determines which values are nearer to a kink of ReLU or ReLU6 than
the rounding of float32, and by how much the norm of each gradient changes if they are on the other
side (`kinks`, the sum over these values).

Batch normalisation over few pixels magnifies rounding errors of the logits as well, the more so the
deeper a network is. `rounding` is how far PyTorch's own logits of training mode in float32 are from
those in float64.
"""

import importlib
import json
import pathlib
import sys
import tempfile
import zlib

import numpy
import safetensors.torch
import timm
import torch
import torchvision
import transformers
from torch import nn

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


def is_position(name: str) -> bool:
    endings = ("pos_embed", "pos_embedding", "position_embeddings", "position_embedding.weight")
    return name.endswith((*endings, "positional_embedding"))


def filled(tensors: dict) -> dict:
    state = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            state[name] = tensor
            continue
        u = uniform(name, tensor.numel())
        dims = [n for n in tensor.shape if n != 1]
        if name.endswith("running_var"):
            values = 1.0 + 0.3 * u
        elif tensor.dim() >= 2 and len(dims) > 1 and not is_position(name):
            values = u * (3.0 / tensor[0].numel()) ** 0.5  # variance 1 / inputs
        elif tensor.dim() == 1 and name.endswith("weight"):  # of a normalisation
            values = 1.0 + 0.3 * u
        else:
            values = 0.1 * u
        state[name] = torch.from_numpy(values.astype(numpy.float32)).reshape(tensor.shape)
    return state


def fill(model: nn.Module) -> tuple[nn.Module, dict]:
    """The model with values by formula, and from the names of its parameters to those in files."""
    if not isinstance(model, transformers.PreTrainedModel):
        model.load_state_dict(filled(model.state_dict()))
        return model, {name: name for name, _ in model.named_parameters()}
    # Files of transformers have other names than its modules.
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        path = f"{folder}/model.safetensors"
        state = filled(safetensors.torch.load_file(path))
        safetensors.torch.save_file(state, path, {"format": "pt"})
        model = without_chance(type(model).from_pretrained(folder, attn_implementation="eager"))
    by_value = {tensor.numpy().tobytes(): name for name, tensor in state.items()}
    parameters = model.named_parameters()
    names = {name: by_value.get(p.detach().numpy().tobytes(), name) for name, p in parameters}
    return model, names


def images(batch: int, height: int, width: int) -> torch.Tensor:
    values = uniform("images", batch * 3 * height * width)
    return torch.from_numpy(values.astype(numpy.float32)).reshape(batch, 3, height, width)


def without_chance(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, (nn.Dropout, torchvision.ops.StochasticDepth)):
            module.p = 0.0
        elif type(module).__name__.endswith("DropPath"):  # timm and transformers
            module.drop_prob = 0.0
    return model


class Clamp(torch.autograd.Function):
    """ReLU, up to `most`, with the values at `places` moved to the other side of the nearest kink."""

    @staticmethod
    def forward(ctx, x, most, places):
        passes = ((x > 0) & (x < most)).flatten()
        passes[places] = ~passes[places]
        ctx.save_for_backward(passes.view_as(x))
        return x.clamp(0, most)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None, None


def most_of(model: nn.Module) -> list[float]:
    """The largest value of each ReLU."""
    return [6.0 if isinstance(m, nn.ReLU6) else float("inf") for m in relus(model)]


def relus(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, (nn.ReLU, nn.ReLU6))]


def through(model: nn.Module, x: torch.Tensor, other_side: tuple[int, int] | None = None):
    """Returns the norms of the gradients and the inputs of each ReLU and ReLU6."""
    inputs = {}
    for index, (module, most) in enumerate(zip(relus(model), most_of(model))):
        places = [other_side[1]] if other_side and other_side[0] == index else []

        def forward(x, index=index, most=most, places=places):
            inputs[index] = x.detach().double().flatten()
            return Clamp.apply(x, most, places)

        module.forward = forward
    model.zero_grad()
    output = model(x)
    output = getattr(output, "logits", output)  # transformers
    nn.functional.cross_entropy(output, torch.arange(len(x)) % CLASSES).backward()
    return {name: p.grad.double().norm().item() for name, p in model.named_parameters()}, inputs


def kinks(model: nn.Module, batch: int, height: int, width: int) -> dict:
    model, _ = fill(without_chance(model))
    model.eval()
    x = images(batch, height, width)
    _, single = through(model.float(), x)
    exact, double = through(model.double(), x.double())
    changes = dict.fromkeys(exact, 0.0)
    most = most_of(model)
    for layer, b in double.items():
        near = torch.minimum(b.abs(), (b - most[layer]).abs()) < (single[layer] - b).abs().max()
        for place in near.nonzero().flatten().tolist():
            norms, _ = through(model, x.double(), (layer, place))
            for name, norm in norms.items():
                changes[name] += abs(norm - exact[name])
    return {name: float(f"{change:.3g}") for name, change in changes.items()}


def own(model: nn.Module, name: str, gradient: torch.Tensor) -> torch.Tensor:
    """A gradient without the position of the class token, if that is part of the class token here."""
    folded = getattr(model, "folded", False) and name.endswith("position_embeddings")
    return gradient[:, 1:] if folded else gradient


def logits(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    output = model(x)
    return getattr(output, "logits", output)  # transformers


def run(model: nn.Module, batch: int, height: int, width: int, every: int = 1) -> dict:
    model, names = fill(without_chance(model))
    x = images(batch, height, width)
    # Without batch normalisation both modes compute the same.
    has_modes = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if has_modes:
        with torch.no_grad():
            single = logits(model.train(), x)
        model, names = fill(model)  # the running statistics have moved
    model.double()
    result = {"batch": batch, "height": height, "width": width}
    if every > 1:
        result["every"] = every
    for mode in ("eval", "train") if has_modes else ("eval",):
        model.train(mode == "train")
        model.zero_grad()
        output = logits(model, x.double())
        nn.functional.cross_entropy(output, torch.arange(batch) % CLASSES).backward()
        result[mode] = {
            "logits": [[float(f"{v:.9g}") for v in row] for row in output.tolist()],
            # A parameter that the model does not use has no gradient.
            "gradient_norms": {
                names[name]: float(f"{own(model, name, p.grad).norm().item():.8g}")
                for index, (name, p) in enumerate(model.named_parameters())
                if p.grad is not None and index % every == 0
            },
        }
    if has_modes:
        rounding = (single - output).abs().max().item()
        result["train"]["rounding"] = float(f"{rounding:.3g}")
    return result


def main() -> None:
    torch.set_num_threads(2)
    [family] = sys.argv[1:]
    # `statistics.py` in this folder stands before Python's own, and removes the folder from the path.
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    result = {
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "timm": timm.__version__,
        "transformers": transformers.__version__,
        "models": {},
    }
    # `statistics.py` in this folder stands before Python's own, so a library removes the folder from the
    # path.
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    module = importlib.import_module(f"families.{family}")
    for name, (build, size) in module.models().items():
        print(name, file=sys.stderr)
        result["models"][name] = run(build(), *size)
        if hasattr(module, "HEAD_HIDDEN"):
            result["models"][name]["head_hidden"] = module.HEAD_HIDDEN
        if name in getattr(module, "KINKS", []):
            evaluation = result["models"][name]["eval"]
            changes = kinks(build(), *size[:3])
            evaluation["kinks"] = {name: changes[name] for name in evaluation["gradient_norms"]}
    result |= getattr(module, "more", dict)()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
