#!/usr/bin/env python3
"""Prints learning rate and beta_1 of PyTorch's OneCycleLR, for the tests of `recipe/schedule.rs`.

    pip install torch==2.15.0
    python3 tests/parity/one_cycle.py
"""

import torch

STEPS = [0, 2, 5, 6, 12, 19]

for share in (0.3, 0.5):
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=1.0, total_steps=20, pct_start=share)
    rates, betas = [], []
    for _ in range(20):
        rates.append(adam.param_groups[0]["lr"])
        betas.append(adam.param_groups[0]["betas"][0])
        adam.step()
        if len(rates) < 20:
            schedule.step()
    print(share, "rates", [round(rates[step], 10) for step in STEPS])
    print(share, "betas", [round(betas[step], 10) for step in STEPS])
