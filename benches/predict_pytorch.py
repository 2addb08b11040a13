#!/usr/bin/env python3
"""The PyTorch side of `benches/predict.sh`: predictions for a folder of large photographs.

    predict_pytorch.py photographs DIR [COUNT]   makes photographs of 4000×3000 pixels
    predict_pytorch.py predict MODEL DIR [--decoder pil|torchvision|draft] [--workers 2]

MODEL is a file that `finetune export --names torchvision` wrote. Images are decoded and resized in the
workers of a `DataLoader`; the model computes in the main process, in `inference_mode` and with
`channels_last` (what is faster on the machine; `--contiguous` tries the other). `pil` prepares images as
Pillow does, to the bit like finetune; `torchvision` decodes with `torchvision.io` and resizes tensors, which
differs by a level in some pixels; `draft` lets libjpeg decode at a fraction of the size, which is several
times faster and gives other pixels than those that the model was trained with.
"""

import argparse
import json
import pathlib
import sys
import time

SIDE = 224
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def photographs(folder: pathlib.Path, count: int) -> None:
    """Enlarges the embedded photographs and adds the noise of a sensor, each with another seed."""
    import numpy
    from PIL import Image

    sources = pathlib.Path(__file__).parent.parent / "datasets" / "signs" / "train"
    sources = sorted(path for path in sources.rglob("*") if path.suffix in (".jpg", ".png", ".webp"))
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        generator = numpy.random.default_rng(index)
        picture = Image.open(sources[index * 7 % len(sources)]).convert("RGB")
        large = numpy.asarray(picture.resize((4000, 3000), Image.Resampling.BICUBIC), numpy.int16)
        noise = generator.normal(0, 5, (1500, 2000, 1)).astype(numpy.int16).repeat(2, 0).repeat(2, 1)
        fine = generator.integers(-3, 4, large.shape, numpy.int16)
        large = numpy.clip(large + noise + fine, 0, 255).astype(numpy.uint8)
        Image.fromarray(large).save(folder / f"{index:04}.jpg", quality=90)


def predict(args: argparse.Namespace) -> None:
    import torch
    import torchvision
    from PIL import Image
    from safetensors import safe_open
    from torchvision.transforms import v2

    normalise = v2.Normalize(MEAN, STD)
    if args.decoder == "torchvision":
        resize = v2.Resize((SIDE, SIDE), antialias=True)
        convert = v2.ToDtype(torch.float32, scale=True)

        def load(path: str) -> torch.Tensor:
            mode = torchvision.io.ImageReadMode.RGB
            return normalise(convert(resize(torchvision.io.decode_image(path, mode))))
    else:
        convert = v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), normalise])

        def load(path: str) -> torch.Tensor:
            picture = Image.open(path)
            if args.decoder == "draft":
                picture.draft("RGB", (2 * SIDE, 2 * SIDE))
            picture = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            return convert(picture)

    class Photographs(torch.utils.data.Dataset):
        def __init__(self, paths: list[str]) -> None:
            self.paths = paths

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> torch.Tensor:
            return load(self.paths[index])

    with safe_open(args.model, "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}
        metadata = json.loads(file.metadata()["finetune"])
    model = getattr(torchvision.models, metadata["model"])(num_classes=len(metadata["classes"]))
    model.load_state_dict(weights)
    layout = torch.contiguous_format if args.contiguous else torch.channels_last
    model = model.eval().to(memory_format=layout)
    paths = sorted(str(path) for path in args.folder.iterdir()) * args.repeat
    loader = torch.utils.data.DataLoader(Photographs(paths), batch_size=32, num_workers=args.workers)
    answers = []
    started = time.monotonic()
    with torch.inference_mode():
        for batch in loader:
            answers.append(model(batch.to(memory_format=layout)).softmax(1))
    seconds = time.monotonic() - started
    rate = len(paths) / seconds
    print(f"{len(paths)} images in {seconds:.1f} s, {rate:.2f} images/s", file=sys.stderr)
    if args.out:
        rows = torch.cat(answers).tolist()
        args.out.write_text("".join(json.dumps(row) + "\n" for row in rows))


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("photographs")
    make.add_argument("folder", type=pathlib.Path)
    make.add_argument("count", type=int, nargs="?", default=200)
    run = commands.add_parser("predict")
    run.add_argument("model", type=pathlib.Path)
    run.add_argument("folder", type=pathlib.Path)
    run.add_argument("--decoder", choices=["pil", "torchvision", "draft"], default="pil")
    run.add_argument("--workers", type=int, default=2)
    run.add_argument("--repeat", type=int, default=1)
    run.add_argument("--contiguous", action="store_true")
    run.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    if args.command == "photographs":
        photographs(args.folder, args.count)
    else:
        predict(args)


if __name__ == "__main__":
    main()
