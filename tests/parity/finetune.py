#!/usr/bin/env python3
"""Fine-tunes MobileNetV2 with `finetune` and with PyTorch and HF PEFT, using the same recipe.

    pip install torch==2.15.0 torchvision==0.29.2 peft==0.21.2
    cargo build --workspace --bin finetune
    python3 tests/parity/finetune.py

Both start from torchvision's ImageNet weights (downloaded by `published.py`), train on the first
`PER_CLASS` embedded training photographs per class at 64 pixels with Adam and PyTorch's one-cycle
schedule, and are tested on the embedded test photographs. The model that `finetune` exports as `.pth`
is then loaded with `torch.load(weights_only=True)` and tested in PyTorch. JPEG decoders differ by a
fifth of a level on average, which can change the prediction of a near tie: `--png` lets Pillow decode
for both. `--rest` also tests on the training photographs that were not used (550 more with the default
`--per-class`), so that a single image has less weight. Prints one JSON document.
"""

import argparse
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import peft
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision import transforms

import mobilenet

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIGNS = ROOT / "datasets/signs"
RATES = {"sft": 0.001, "linear": 0.01, "lora": 0.002}
CLASSES = 5


def prepare(size: int):
    return transforms.Compose([
        transforms.Resize(int(size / 0.875 + 1e-4)), transforms.CenterCrop(size), transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])


def images(folder: pathlib.Path, size: int):
    paths = [(p, i) for i, c in enumerate(sorted(folder.iterdir())) for p in sorted(c.iterdir())]
    how = prepare(size)
    x = torch.stack([how(Image.open(p).convert("RGB")) for p, _ in paths])
    return x, torch.tensor([i for _, i in paths])


def accuracy(model, x, y) -> float:
    model.eval()
    with torch.no_grad():
        predicted = torch.cat([model(part).argmax(1) for part in x.split(64)])
    return (predicted == y).double().mean().item()


def build(method: str, seed: int):
    torch.manual_seed(seed)
    model = torchvision.models.mobilenet_v2(dropout=0.0)
    model.load_state_dict(torch.load(mobilenet.download(), weights_only=True))
    model.classifier[1] = nn.Linear(1280, CLASSES)
    if method == "lora":
        pointwise = [n for n, m in model.named_modules()
                     if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=pointwise,
                                 modules_to_save=["classifier.1"])
        model = peft.get_peft_model(model, config)
    elif method == "linear":
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith("classifier")
    return model


def train(method: str, seed: int, x, y, epochs: int, batch: int) -> nn.Module:
    model = build(method, seed)
    trained = [p for p in model.parameters() if p.requires_grad]
    steps = -(-len(y) // batch) * epochs
    optimizer = torch.optim.Adam(trained, lr=RATES[method])
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=RATES[method], total_steps=steps)
    for _ in range(epochs):
        model.train()
        if method != "sft":
            # Running statistics of a frozen base do not change.
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        for index in torch.randperm(len(y)).split(batch):
            loss = nn.functional.cross_entropy(model(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model


def ours(method: str, seed: int, data: pathlib.Path, out: pathlib.Path, args) -> dict:
    command = [
        str(ROOT / "target/debug/finetune"), "train", "--method", method, "--seed", str(seed),
        "--data", str(data), "--weights", str(mobilenet.download()), "--image-size", str(args.size),
        "--epochs", str(args.epochs), "--batch-size", str(args.batch), "--lr", str(RATES[method]),
        "--schedule", "one-cycle", "--drop-last", "off", "--out", str(out),
        "--format", "pth", "--ui", "none", "--json",
        # As `build` builds the model.
        *(["--head-dropout", "0"] if method == "sft" else []),
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["runs"][0]


def exported(file: pathlib.Path, x, y) -> float:
    model = torchvision.models.mobilenet_v2(num_classes=CLASSES)
    model.load_state_dict(torch.load(file, weights_only=True))
    return accuracy(model, x, y)


def put(files, target: pathlib.Path, png: bool) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        if png:
            Image.open(file).convert("RGB").save(target / f"{file.stem}.png")
        else:
            shutil.copy(file, target / file.name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--per-class", type=int, default=40)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", default="sft,linear,lora")
    parser.add_argument("--rest", action="store_true", help="test on what was not trained on, too")
    parser.add_argument("--png", action="store_true", help="decode the JPEGs once, for both")
    args = parser.parse_args()
    torch.set_num_threads(2)
    result = {"arguments": vars(args), "methods": {}}
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data"
        for part in ("train", "test"):
            for source in sorted((SIGNS / part).iterdir()):
                files = sorted(source.iterdir())
                random.Random(0).shuffle(files)
                taken = args.per_class if part == "train" else len(files)
                put(files[:taken], data / part / source.name, args.png)
                if args.rest:
                    put(files[taken:], data / "test" / source.name, args.png)
        train_x, train_y = images(data / "train", args.size)
        test_x, test_y = images(data / "test", args.size)
        for method in args.methods.split(","):
            rows = []
            for seed in range(args.seeds):
                out = pathlib.Path(folder) / f"{method}-{seed}"
                run = ours(method, seed, data, out, args)
                again = exported(out / f"finetuned_model_{method}.pth", test_x, test_y)
                start = time.monotonic()
                model = train(method, seed, train_x, train_y, args.epochs, args.batch)
                seconds = time.monotonic() - start
                rows.append({
                    "seed": seed, "ours": run["accuracy"], "exported": again,
                    "pytorch": accuracy(model, test_x, test_y),
                    "our_seconds": run["train_seconds"], "pytorch_seconds": seconds,
                })
                print(method, rows[-1], file=sys.stderr, flush=True)
            mean = lambda key: statistics.mean(row[key] for row in rows)
            result["methods"][method] = {
                "runs": rows, "ours": mean("ours"), "pytorch": mean("pytorch"),
                "largest_difference_exported": max(abs(r["exported"] - r["ours"]) for r in rows),
            }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
