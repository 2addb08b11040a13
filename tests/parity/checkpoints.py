#!/usr/bin/env python3
"""Which of the most downloaded checkpoints of the Hugging Face Hub the program loads, for `docs/checkpoints.md`.

    pip install torch==2.15.0 timm==1.0.31 transformers==5.24.0 open_clip_torch==3.3.0
    python tests/parity/checkpoints.py [--only TEXT] [--program PATH] > new.md && mv new.md docs/checkpoints.md

`checkpoints.tsv` beside this script is the list, and the text of the page before its results is kept. Each
network is built without values by the library that wrote the checkpoint. The names, types and shapes of its
tensors become the header of a safetensors file with holes for values, beside the configuration in the form of
the library; transformers' tensors have the names that it saves, which are those of the files on the Hub.
`inspect` says what the file is.

A line of the list has the repository, the library, the network, and the downloads. The network is, for timm,
`NAME[.TAG] [CLASSES]`; for transformers, `TYPE SIZE/PATCH IMAGE LAST [OPEN_CLIP]`, in which the last is the
number of classes (`-`: no head), the activation of CLIP or the vocabulary of SigLIP; for open_clip its name.
"""

import argparse
import copy
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import open_clip
import timm
import torch
import transformers
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.timm_model import TimmModel
from timm.layers import SwiGLUPacked
from timm.models._hub import save_config_for_hf
from transformers.core_model_loading import revert_weight_conversion

HERE = pathlib.Path(__file__).parent
DTYPES = {torch.float32: "F32", torch.int64: "I64"}
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
OPENAI = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])

# Width, layers, heads, width of the MLP.
SIZES = {"random": (32, 5, 4, 37), "tiny": (192, 12, 3, 768), "small": (384, 12, 6, 1536)}
SIZES |= {"base": (768, 12, 12, 3072), "large": (1024, 24, 16, 4096), "so400m": (1152, 27, 16, 4304)}
SIZES |= {"huge": (1280, 32, 16, 5120), "huge_plus": (1280, 32, 20, 5120)}
SIZES |= {"giant": (1536, 40, 24, 6144), "giantopt": (1536, 40, 16, 6144)}
# Of CLIP's text towers, with the width of the common space.
TEXTS = {"base": (512, 12, 8, 2048, 512), "large": (768, 12, 12, 3072, 768), "huge": (1024, 24, 16, 4096, 1024)}
KEYS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def sized(size):
    return dict(zip(KEYS, SIZES[size]))


def prepared(kind, means, image, short=None):
    """The configuration of an image processor: to a size, or the shorter side to one and the middle of it."""
    size = {"height": image, "width": image}
    whole = {"size": {"shortest_edge": short}, "do_center_crop": True, "crop_size": size} if short else {"size": size}
    kind = f"{kind}ImageProcessor"
    return {"image_processor_type": kind, "image_mean": means[0], "image_std": means[1], "resample": 3, **whole}


def of_transformers(repository, network):
    """The configuration, what builds the model, what it may be called, and how its images are prepared."""
    kind, size, image, last, *_ = network.split()
    size, _, patch = size.partition("/")
    image, patch = int(image), int(patch or 0)
    head = {"num_labels": int(last)} if last.isdigit() else {}
    shape = {"image_size": image, "patch_size": patch}
    if kind == "vit":
        build = transformers.ViTForImageClassification
        if not head:
            build = lambda config: transformers.ViTModel(config, add_pooling_layer=last == "pooler")
        means = IMAGENET if repository.startswith("facebook/") else HALF
        names = [f"vit_{size}_patch{patch}_{image}", f"deit_{size}_patch{patch}_{image}"]
        config = transformers.ViTConfig(**sized(size), **shape, **head)
        return config, build, names, prepared("ViT", means, image)
    if kind.startswith("dinov2"):
        registers = kind.endswith("registers")
        part = "Dinov2WithRegisters" if registers else "Dinov2"
        settings = dict(list(sized(size).items())[:3], use_swiglu_ffn=size == "giant")
        config = getattr(transformers, f"{part}Config")(**settings, **shape)
        names = [f"vit_{size}_patch{patch}_{'reg4_' * registers}dinov2"]
        return config, getattr(transformers, f"{part}Model"), names, prepared("Bit", IMAGENET, 224, 256)
    if kind == "dinov3_vit":
        gated = {"use_gated_mlp": True, "hidden_act": "silu"} if size == "huge_plus" else {}
        config = transformers.DINOv3ViTConfig(**sized(size), **shape, num_register_tokens=4, **gated)
        names = [f"vit_{size}_patch{patch}_dinov3"]
        return config, transformers.DINOv3ViTModel, names, prepared("DINOv3ViT", IMAGENET, image)
    if kind == "clip":
        text = dict(zip((*KEYS, "projection_dim"), TEXTS[size]), hidden_act=last)
        both = {"projection_dim": text["projection_dim"]}
        vision = {**sized(size), **shape, **both, "hidden_act": last}
        config = transformers.CLIPConfig(text_config=text, vision_config=vision, **both)
        names = [f"vit_{size}_patch{patch}_clip_{'quickgelu_' * (last == 'quick_gelu')}{image}"]
        return config, transformers.CLIPModel, names, prepared("CLIP", OPENAI, image, image)
    if kind.startswith("siglip"):
        text = {**sized("so400m" if size == "giantopt" else size), "vocab_size": int(last)}
        text["projection_size"] = SIZES[size][0]
        if kind == "siglip2":  # any size and shape of images
            shape = {"patch_size": patch, "num_patches": image}
        part = kind.capitalize()
        config = getattr(transformers, f"{part}Config")(text_config=text, vision_config={**sized(size), **shape})
        # With a hyperbolic tangent in its GELU, unlike timm's networks for the same weights.
        names = [f"siglip_{size}_patch{patch}_{image}"] if kind == "siglip" else ["naflex"]
        return config, getattr(transformers, f"{part}Model"), names, prepared(part, HALF, image)
    if kind == "swinv2":
        width, depth, heads, before = {"tiny": (96, 6, 3, [0] * 4), "large": (192, 18, 6, [12, 12, 12, 6])}[size]
        more = {"num_heads": [heads << i for i in range(4)], "pretrained_window_sizes": before, **head}
        config = transformers.Swinv2Config(
            image_size=image, embed_dim=width, depths=[2, 2, depth, 2], window_size=patch, **more
        )
        names = [f"swinv2_{size}_window{'12to16_192to256' if before[0] else f'{patch}_{image}'}"]
        return config, transformers.Swinv2ForImageClassification, names, prepared("ViT", IMAGENET, image)
    if kind == "resnet":
        basic = {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]}
        config = transformers.ResNetConfig(**(basic if size == "18" else {}), **head)
        images = {**prepared("ConvNext", IMAGENET, image), "size": {"shortest_edge": image}, "crop_pct": 0.875}
        return config, transformers.ResNetForImageClassification, [f"resnet{size}"], images
    assert kind == "mobilevit", kind
    images = {**prepared("MobileViT", HALF, image, 288), "do_flip_channel_order": True, "do_normalize": False}
    config = transformers.MobileViTConfig(**head)
    return config, transformers.MobileViTForImageClassification, ["mobilevit_s"], images


def write_transformers(folder, repository, network):
    config, build, names, images = of_transformers(repository, network)
    with torch.device("meta"):
        model = build(config)
    config.architectures = [type(model).__name__]
    (folder / "config.json").write_text(config.to_json_string())
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    tensors = dict(revert_weight_conversion(model, model.state_dict()))
    if network.startswith("clip"):  # saved until 2023
        for tower, count in (("text_model", 77), ("vision_model", 0)):
            position = f"{tower}.embeddings.position_embedding.weight"
            ids = torch.empty(1, count or tensors[position].shape[0], dtype=torch.int64, device="meta")
            tensors[f"{tower}.embeddings.position_ids"] = ids
        if len(network.split()) > 4:  # open_clip's repositories have both
            write_open_clip_config(folder, network.split()[4])
    return "model.safetensors", tensors, [f"`{network.split()[0]}`", *names]


def write_timm(folder, repository, network):
    name, _, last = network.partition(" ")
    more = {"num_classes": int(last)} if last.isdigit() else {}
    layers = {}
    if last == "Virchow2":  # its layers are to be given by the user
        more = {"img_size": 224, "init_values": 1e-5, "num_classes": 0, "reg_tokens": 4, "mlp_ratio": 5.3375}
        more |= {"global_pool": "", "dynamic_img_size": True}
        layers = {"mlp_layer": SwiGLUPacked, "act_layer": torch.nn.SiLU}
    with torch.device("meta"):
        model = timm.create_model(name, **more, **layers)
    config = folder / "config.json"
    if layers:
        images = {"mean": IMAGENET[0], "std": IMAGENET[1], "input_size": [3, 224, 224]}
        config.write_text(json.dumps({"architecture": name, "model_args": more, "pretrained_cfg": images}))
    else:
        save_config_for_hf(model, config)
    if repository.startswith("Freepik/"):
        wrapper = {"model_type": "timm_wrapper", "architectures": ["TimmWrapperForImageClassification"]}
        config.write_text(json.dumps({**json.loads(config.read_text()), **wrapper}))
    return "model.safetensors", model.state_dict(), [name.split(".")[0]]


BIOMED = {"timm_model_name": "vit_base_patch16_224", "timm_pool": "", "timm_proj": "linear", "image_size": 224}
BIOMED = {"embed_dim": 512, "vision_cfg": BIOMED, "text_cfg": {"proj": "mlp"}}


def write_open_clip_config(folder, network):
    config = BIOMED if network == "BiomedCLIP" else copy.deepcopy(open_clip.get_model_config(network))
    mean, std = HALF if "SigLIP" in network else OPENAI
    images = {"mean": mean, "std": std, "interpolation": "bicubic", "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": images}))
    return config


def write_open_clip(folder, repository, network):
    config = write_open_clip_config(folder, network)
    tower = config["vision_cfg"].get("timm_model_name")
    names = [tower] if tower else ["vit_base_patch16_plus_clip_240", "ViT 12×896/16"]
    with torch.device("meta"):
        if network == "BiomedCLIP":
            visual = TimmModel(tower, 512, image_size=224, pool="", proj="linear", pretrained=False)
            text = transformers.BertModel(transformers.BertConfig(), add_pooling_layer=False)
            tensors = {f"visual.{name}": tensor for name, tensor in visual.state_dict().items()}
            tensors |= {f"text.transformer.{name}": tensor for name, tensor in text.state_dict().items()}
        else:
            custom = config.pop("custom_text", False)
            tensors = (CustomTextCLIP if custom else CLIP)(**config).state_dict()
    return "open_clip_model.safetensors", tensors, names


def write_other(folder, repository, network):
    """PE Core L: an open_clip ViT-L/14 with attention pooling, and positions that rotate, without tensors."""
    with torch.device("meta"):
        tensors = CLIP(**open_clip.get_model_config("ViT-L-14-336")).state_dict()
        tensors = {name: tensor for name, tensor in tensors.items() if name.startswith("visual.")}
        tensors["visual.proj"] = torch.empty(1024, 1024)
        pool = torch.nn.Module()
        pool.probe = torch.nn.Parameter(torch.empty(1, 1, 1024))
        pool.attn, pool.layernorm = torch.nn.MultiheadAttention(1024, 8), torch.nn.LayerNorm(1024)
        pool.mlp = torch.nn.ModuleDict({"c_fc": torch.nn.Linear(1024, 4096), "c_proj": torch.nn.Linear(4096, 1024)})
    tensors |= {f"visual.attn_pool.{name}": tensor for name, tensor in pool.state_dict().items()}
    return "model.safetensors", tensors, ["pe_core", "pe-core"]


WRITERS = {"timm": write_timm, "transformers": write_transformers, "open_clip": write_open_clip, "other": write_other}


def write_holes(path, tensors):
    header, end = {}, 0
    for name, tensor in sorted(tensors.items()):
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def said(program, *arguments):
    call = subprocess.run([program, *arguments], capture_output=True, text=True)
    return call.returncode, call.stdout, call.stderr.strip().replace("\n", " ")


def without_size(name):
    return re.sub(r"_\d{3}$", "", name)


def outcome(program, known, path, names):
    code, out, error = said(program, "inspect", "--weights", str(path), "--json")
    if code == 0:
        model = json.loads(out)["model"]
        is_right = any(without_size(model) == without_size(known.get(name, name)) for name in names)
        return ("loads" if is_right else "wrong"), f"`{model}`"
    error = error.replace(f"{path.parent}/", "").removeprefix("error: ").replace("|", "\\|")
    is_named = any(name.lower() in error.lower() for name in names)
    return ("named" if is_named else "refused"), error


RESULTS = """## Results

**{loads} load, {named} are refused with a message that names the network, {refused} are refused otherwise, and \
{wrong} are taken for a network that they are not.**

| | repository | library | network | downloads in 30 days | understood as, or the message |
|---|---|---|---|---|---|
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="repositories with this text in their names")
    parser.add_argument("--program", default=str(HERE.parents[1] / "target/debug/finetune-under-test"))
    options = parser.parse_args()
    lines = (HERE / "checkpoints.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    models = json.loads(said(options.program, "models", "--json")[1])
    known = {name: one["name"] for one in models for name in [one["name"], *one["aliases"]]}
    table, counts = [], dict.fromkeys(("loads", "named", "refused", "wrong"), 0)
    for order, (repository, library, network, downloads, _) in enumerate(rows, 1):
        if options.only not in repository:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / repository.replace("/", "--")
            folder.mkdir()
            file, tensors, names = WRITERS[library](folder, repository, network)
            write_holes(folder / file, tensors)
            result, text = outcome(options.program, known, folder / file, names)
        counts[result] += 1
        start = {"named": "refused by name: ", "refused": "**refused**: ", "wrong": "**wrong**: "}.get(result, "")
        cells = [order, f"`{repository}`", library, network, f"{int(downloads):,}", start + text]
        table.append("| " + " | ".join(str(cell) for cell in cells) + " |")
        print(repository, result, file=sys.stderr, flush=True)
    page = (HERE.parents[1] / "docs/checkpoints.md").read_text()
    print(page[: page.index("## Results")] + RESULTS.format(**counts) + "\n".join(table))


if __name__ == "__main__":
    main()
