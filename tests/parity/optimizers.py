"""Prints parameters after steps of PyTorch's optimisers, for crates/kernels/src/optim/tests.rs.

Run it with a Python that has PyTorch; it prints the constants of the tests.
"""

import torch

STEPS = 4


def run(make):
    parameter = torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0, 0.0]))
    optimizer = make([parameter])
    for step in range(STEPS):
        # The gradient of the last entry is 0 until the third step.
        scale = torch.tensor([1.0, -0.25, 1e-4, 0.0 if step < 2 else 3.0])
        parameter.grad = scale * (1.0 + 0.5 * step)
        optimizer.step()
    return [round(value, 9) for value in parameter.detach().double().tolist()]


print("ADAM", run(lambda p: torch.optim.Adam(p, lr=0.01)))
print("ADAM_DECAY", run(lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1)))
print("ADAMW", run(lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)))
print("SGD", run(lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)))
print("SGD_DECAY", run(lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1)))
