#!/usr/bin/env python3
"""Checks ONNX files with `onnx.checker` and compares what onnxruntime computes with our own results.

    pip install onnx==1.23.2 onnxruntime==1.32.0 safetensors numpy pillow
    FINETUNE_PYTHON=python3 cargo test --workspace --test onnxruntime -- --ignored
    FINETUNE_PYTHON=python3 cargo test --workspace --test onnx -- --ignored

The tests start this script. Without arguments it reads paths without an ending, one per line, from its
standard input: `PATH.onnx` is a file, and `PATH.safetensors` has `images` and our `logits` for them. For
each it prints a line of JSON: the largest difference of a logit, relative to the largest logit, for all
images at once and for the first alone.

    onnx_check.py predict MODEL.onnx PREDICTIONS.json

compares with `finetune predict --json IMAGE...`: it prepares the images with Pillow, as the file's metadata
say (docs/onnx.md), and prints the largest difference of a probability, relative to the probability, and
the least probability.
"""

import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime
from PIL import Image, ImageOps
from safetensors.numpy import load_file


def session(path):
    onnx.checker.check_model(path, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def apart(found, wanted):
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    return float(numpy.abs(found - wanted).max() / numpy.abs(wanted).max())


def compare(path):
    ours = load_file(f"{path}.safetensors")
    run = session(f"{path}.onnx")
    images, logits = ours["images"], ours["logits"]
    all_at_once = run.run(["logits"], {"images": images})[0]
    one = run.run(["logits"], {"images": images[:1]})[0]
    return {
        "batch": len(images),
        "error": apart(all_at_once, logits),
        "error_of_one": apart(one, logits[:1]),
        "spread": float(numpy.abs(logits - logits.mean(0)).max() / numpy.abs(logits).max()),
    }


def prepared(path, about):
    """The picture as `(RGB / 255 - mean) / std`, in one of the three ways of docs/onnx.md."""
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    side = int(about["image_size"])
    interpolation = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}[about["interpolation"]]
    width, height = picture.size
    if about["fit"] == "squash":
        picture = picture.resize((side, side), interpolation)
    elif about["fit"] == "pad":
        longer = max(width, height)
        size = [max(1, (length * side + longer // 2) // longer) for length in (width, height)]
        inside = picture.resize(size, interpolation)
        picture = Image.new("RGB", (side, side))
        picture.paste(inside, ((side - size[0]) // 2, (side - size[1]) // 2))
    else:
        shorter = max(side, int(side / float(about["crop"]) + 1e-4))
        size = [shorter * length // min(width, height) for length in (width, height)]
        picture = picture.resize(size, interpolation)
        left, top = [round((length - side) / 2) for length in size]
        picture = picture.crop((left, top, left + side, top + side))
    pixels = numpy.asarray(picture, numpy.float32).transpose(2, 0, 1)
    if about["input"] == "RGB from 0 to 255":
        return pixels
    mean, std = (numpy.float32(json.loads(about[key])).reshape(3, 1, 1) for key in ("mean", "std"))
    return (pixels / 255 - mean) / std


def predict(model, predictions):
    run = session(model)
    about = run.get_modelmeta().custom_metadata_map
    classes = json.loads(about["classes"])
    worst = 0.0
    predicted = json.loads(pathlib.Path(predictions).read_text())
    images = numpy.stack([prepared(one["path"], about) for one in predicted])
    logits = run.run(["logits"], {"images": images})[0].astype(numpy.float64)
    shares = numpy.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    for one, share in zip(predicted, shares):
        assert classes[share.argmax()] == one["class"], (one, share)
        worst = max(worst, abs(float(share.max()) - one["probability"]) / one["probability"])
    least = min(one["probability"] for one in predicted)
    return {"images": len(predicted), "error": worst, "least": least}


if __name__ == "__main__":
    if sys.argv[1:2] == ["predict"]:
        print(json.dumps(predict(*sys.argv[2:])))
    else:
        for line in sys.stdin:
            print(json.dumps(compare(line.rstrip("\n"))), flush=True)
