#!/usr/bin/env python3
"""Reads the event files of a run with TensorBoard's reader and compares them with its report.

    pip install tensorboard
    finetune train --valid-fraction 0.2 --out run
    python3 tests/parity/events.py run
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = pathlib.Path(sys.argv[1])
report = json.loads((folder / "report.json").read_text())
several = len({run["seed"] for run in report["runs"]}) > 1
for run in report["runs"]:
    name = f"{run['method']}_seed{run['seed']}" if several else run["method"]
    events = EventAccumulator(str(folder / "events" / name))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    wanted = {"train/loss", "train/accuracy", "learning_rate", "images_per_second"}
    assert wanted <= tags, f"{name} lacks {wanted - tags}"
    losses = events.Scalars("train/loss")
    assert [event.step for event in losses] == list(range(1, run["steps"] + 1)), name
    for tag, key in [("valid/loss", "valid_loss"), ("valid/accuracy", "valid_accuracy")]:
        values = [epoch[key] for epoch in run["epochs"] if epoch[key] is not None]
        found = [event.value for event in events.Scalars(tag)] if values else []
        assert len(found) == len(values), (name, tag, len(found), len(values))
        assert all(abs(a - b) < 1e-6 for a, b in zip(found, values)), (name, tag)
    rates = [event.value for event in events.Scalars("learning_rate")]
    last = run["epochs"][-1]["learning_rate"]
    assert abs(rates[-1] - last) <= 1e-6 * max(last, 1e-6), (rates[-1], last)
    print(f"{name}: {len(losses)} steps, tags {', '.join(sorted(tags))}")
