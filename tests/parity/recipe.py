#!/usr/bin/env python3
"""Computes the parts of our recipe in PyTorch, for `crates/training`.

    pip install torch
    python3 tests/parity/recipe.py > crates/training/tests/fixtures/recipe.json

Losses with label smoothing, class weights and soft targets; steps of the optimisers; clipping by
the global norm. Inputs are formulas, which the output contains.
"""

import json

import torch
import torch.nn.functional as F

ROWS, CLASSES = 5, 4


def wave(count: int, speed: float) -> torch.Tensor:
    return torch.sin(torch.arange(count, dtype=torch.float32) * speed)


def losses() -> list[dict]:
    weights = torch.tensor([0.5, 2.0, 1.0, 0.25])
    labels = torch.tensor([0, 3, 1, 1, 2])
    soft = torch.softmax(2 * wave(ROWS * CLASSES, 0.9).reshape(ROWS, CLASSES), dim=1)
    found = []
    for smoothing in (0.0, 0.1):
        for weight in (None, weights):
            for target in (labels, soft):
                logits = (3 * wave(ROWS * CLASSES, 0.37)).reshape(ROWS, CLASSES)
                logits.requires_grad_()
                loss = F.cross_entropy(
                    logits, target, weight=weight, label_smoothing=smoothing
                )
                loss.backward()
                found.append(
                    {
                        "smoothing": smoothing,
                        "weights": None if weight is None else weight.tolist(),
                        "soft": soft.flatten().tolist() if target is soft else None,
                        "labels": labels.tolist(),
                        "logits": logits.detach().flatten().tolist(),
                        "loss": loss.item(),
                        "gradient": logits.grad.flatten().tolist(),
                    }
                )
    return found


def optimizers() -> list[dict]:
    """Takes four steps on a matrix, which decays, and a bias, which does not."""
    kinds = {
        "adam": lambda groups: torch.optim.Adam(groups, lr=0.01),
        "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01),
        "sgd": lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9),
    }
    found = []
    for name, make in kinds.items():
        for decay in (0.0, 0.3):
            matrix = torch.nn.Parameter(wave(6, 0.7).reshape(2, 3))
            bias = torch.nn.Parameter(wave(3, 1.3))
            optimizer = make(
                [
                    {"params": [matrix], "weight_decay": decay},
                    {"params": [bias], "weight_decay": 0.0},
                ]
            )
            for step in range(4):
                matrix.grad = wave(6, 0.2 * (step + 1)).reshape(2, 3)
                bias.grad = wave(3, 0.5 * (step + 1))
                optimizer.step()
            found.append(
                {
                    "optimizer": name,
                    "weight_decay": decay,
                    "matrix": matrix.detach().flatten().tolist(),
                    "bias": bias.detach().flatten().tolist(),
                }
            )
    return found


def clipping() -> list[dict]:
    found = []
    for limit in (0.5, 100.0):
        matrix, bias = torch.zeros(2, 3), torch.zeros(3)
        matrix.grad, bias.grad = wave(6, 0.7).reshape(2, 3), wave(3, 1.3)
        norm = torch.nn.utils.clip_grad_norm_([matrix, bias], limit)
        found.append(
            {
                "limit": limit,
                "norm": norm.item(),
                "matrix": matrix.grad.flatten().tolist(),
                "bias": bias.grad.flatten().tolist(),
            }
        )
    return found


print(
    json.dumps(
        {"losses": losses(), "optimizers": optimizers(), "clipping": clipping()},
        indent=1,
    )
)
