#!/usr/bin/env python3
"""Compares the data pipeline with torchvision's: 4000×3000 JPEGs to batches of 8 at 224 pixels.

    pip install torch==2.15.0 torchvision==0.29.2 pillow==13.0.0
    cargo build --workspace --example pipeline
    python3 tests/parity/pipeline.py [WORKERS] [ROUNDS]

Makes 64 photographs of 12 million pixels in `target/parity/pipeline` from the embedded ones (enlarged
two and a half times, tiled, with camera noise; JPEG of quality 90). Both pipelines decode them
alternately, one epoch per process, so that the conditions are the same for both. torchvision's is
`Image.open`, `Resize(256)`, `CenterCrop(224)`, `ToTensor`, `Normalize` in a `DataLoader` with as many
worker processes as ours has threads. Prints each round, the medians and their ratio.
"""

import pathlib
import random
import re
import statistics
import subprocess
import sys
import time

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target/parity/pipeline"
EXAMPLE = ROOT / "target/debug/examples/pipeline"
COUNT = 64


def make() -> None:
    photographs = sorted((ROOT / "datasets/signs/train").glob("*/*.jpg"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for number in range(COUNT):
        path = FOLDER / f"{number:02}.jpg"
        if path.exists():
            continue
        choice, noise = random.Random(number), np.random.default_rng(number)
        whole = Image.new("RGB", (4000, 3000))
        for tile in range(16 * 12):
            photograph = Image.open(choice.choice(photographs)).resize((250, 250), Image.BICUBIC)
            whole.paste(photograph, (tile % 16 * 250, tile // 16 * 250))
        values = np.asarray(whole, dtype=np.float32) + noise.normal(0, 3, (3000, 4000, 1))
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def torchvision_epoch(workers: int) -> None:
    import torch
    from torchvision import transforms

    class Photographs(torch.utils.data.Dataset):
        paths = sorted(FOLDER.glob("*.jpg"))
        prepare = transforms.Compose([
            transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ])

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int):
            return self.prepare(Image.open(self.paths[index]).convert("RGB")), 0

    loader = torch.utils.data.DataLoader(
        Photographs(), batch_size=8, shuffle=True, num_workers=workers, persistent_workers=True
    )
    for _ in range(2):  # the first starts the workers
        start = time.perf_counter()
        count = sum(len(labels) for _, labels in loader)
        print(f"{count / (time.perf_counter() - start):.2f} images/s")


def rate(command: list[str]) -> float:
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(re.findall(r"([\d.]+) images/s", output)[-1])


def main() -> None:
    if sys.argv[1:2] == ["torchvision"]:
        return torchvision_epoch(int(sys.argv[2]))
    workers = sys.argv[1] if len(sys.argv) > 1 else "2"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    make()
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(rate([str(EXAMPLE), str(FOLDER), workers, "none", "2"]))
        theirs.append(rate([sys.executable, __file__, "torchvision", workers]))
        print(f"finetune {ours[-1]:.2f} images/s, torchvision {theirs[-1]:.2f} images/s", flush=True)
    ours, theirs = statistics.median(ours), statistics.median(theirs)
    print(f"medians: finetune {ours:.2f}, torchvision {theirs:.2f}, ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
