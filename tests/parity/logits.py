#!/usr/bin/env python3
"""Computes the logits of our networks in PyTorch, for `tests/parity.rs`.

    pip install torch safetensors
    python3 tests/parity/logits.py > tests/fixtures/logits.json

Images are a formula of their index. The weights of the small network are those of the included
weights file, which also shows that PyTorch loads our files; those of the chapter's network are a
formula of name and index.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parents[2]


def images(count: int, side: int) -> torch.Tensor:
    index = torch.arange(count * 3 * side * side, dtype=torch.float64)
    return torch.sin(index * 0.37).to(torch.float32).reshape(count, 3, side, side)


class Block(nn.Module):
    """`BasicBlock` of pytorch_resnet_cifar10, with the option A shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, (outputs - inputs) // 2

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        s = self.stride
        shortcut = F.pad(x[:, :, ::s, ::s], (0, 0, 0, 0, self.extra, self.extra))
        return F.relu(y + shortcut)


class ResNet(nn.Module):
    def __init__(self, blocks: int, stride: int, classes: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stage = lambda i, o, s: nn.Sequential(
            Block(i, o, s), *[Block(o, o, 1) for _ in range(blocks - 1)]
        )
        self.layer1, self.layer2, self.layer3 = stage(16, 16, 1), stage(16, 32, 2), stage(32, 64, 2)
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def chapter(flatten: bool) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2), nn.Flatten(),
        nn.Linear(64 * 32 * 32, 1000), nn.ReLU(), nn.Linear(1000, 5),
    )


def fill(model: nn.Module) -> None:
    """Sets every parameter to sin(0.37 · index + length of its name) / √(inputs)."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            index = torch.arange(parameter.numel(), dtype=torch.float64)
            inputs = parameter[0].numel() if parameter.dim() > 1 else 1
            values = torch.sin(index * 0.37 + len(name)) / math.sqrt(inputs)
            parameter.copy_(values.to(torch.float32).reshape(parameter.shape))


def main() -> None:
    torch.manual_seed(0)
    small = ResNet(1, 2, 5).eval()
    weights = load_file(ROOT / "datasets/weights/resnet8-64-signs.safetensors")
    missing, unexpected = small.load_state_dict(weights, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    large = chapter(True).eval()
    fill(large)
    with torch.no_grad():
        result = {
            "torch": torch.__version__,
            "resnet8-64": {
                "64": small(images(2, 64)).tolist(),
                # An odd size, with feature maps of 25×25, 13×13 and 7×7.
                "49": small(images(2, 49)).tolist(),
            },
            "chapter": large(images(2, 64)).tolist(),
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
