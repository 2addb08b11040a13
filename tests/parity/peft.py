#!/usr/bin/env python3
"""Adapters of PEFT on models of transformers, for `crates/model/tests/peft_parts.rs`.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2 (and what `architectures.py` needs)
    PYTHONHASHSEED=0 python3 tests/parity/peft.py write tests/fixtures/peft            # makes the fixtures
    PYTHONHASHSEED=0 python3 tests/parity/peft.py write tests/fixtures/peft CASE ...   # or some of them
    python3 tests/parity/peft.py check FOLDER                          # loads adapters that were exported here

The weights of the bases are the formula of `architectures.py`. A folder is called BASE or BASE.CASE. What
`check` reads has the logits beside the adapter, as `logits.safetensors`.
"""

import json
import pathlib
import shutil
import sys
import warnings

# Python puts the folder of the script first, in which `statistics.py` and this file have the names of
# libraries.
HERE = pathlib.Path(__file__).resolve().parent
sys.path = [path for path in sys.path if pathlib.Path(path or ".").resolve() != HERE]

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

sys.path.append(str(HERE))

import architectures  # noqa: E402
from families import foundation  # noqa: E402

warnings.filterwarnings("ignore")
CLASSES = architectures.CLASSES


def vit():
    config = transformers.ViTConfig(
        hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768,
        image_size=32, num_labels=CLASSES,
        # As in timm. With the default of transformers, 1e-12, logits differ by 1e-4.
        layer_norm_eps=1e-6,
    )
    return transformers.ViTForImageClassification(config)


def foundations(name):
    build, (_, side, _) = foundation.models()[name]
    return build, side


# The images' side is that of the model.
BASES = {
    "vit": (vit, 32),
    "dinov2": foundations("dinov2_small (transformers)"),
    "registers": foundations("dinov2_small_reg (transformers)"),
    "dinov3": foundations("dinov3_small (transformers 5)"),
    "dinov3_plus": foundations("dinov3_small_plus (transformers 5)"),
    "clip": foundations("vit_base_patch32_clip_quickgelu_224 (transformers)"),
    "siglip": foundations("siglip_base_patch16_224 (transformers)"),
}


def base(name):
    build, side = BASES[name]
    model, _ = architectures.fill(architectures.without_chance(build()))
    return model.eval(), architectures.images(2, side, side)


HEAD = {"modules_to_save": ["classifier"]}
TWO = {"layers_to_transform": [0, 11]}
LAST = {"layers_to_transform": [11]}
QV = ["q_proj", "v_proj"]
CASES = {
    "vit.lora": peft.LoraConfig(
        r=2, lora_alpha=6, rank_pattern={"v_proj": 3}, alpha_pattern={"v_proj": 5},
        target_modules=QV, **TWO, **HEAD,
    ),
    # As transformers 4 called the layers, and most adapters on the Hub do.
    "vit.old": peft.LoraConfig(r=2, lora_alpha=6, target_modules=QV, **LAST, **HEAD),
    "vit.rslora": peft.LoraConfig(
        r=2, lora_alpha=3, use_rslora=True, bias="lora_only", target_modules=[*QV, "o_proj", "fc1"],
        rank_pattern={"q_proj": 4}, **LAST, **HEAD,
    ),
    "vit.dora": peft.LoraConfig(
        r=2, lora_alpha=4, use_dora=True, target_modules=[*QV, "fc2"], **LAST, **HEAD
    ),
    "vit.ia3": peft.IA3Config(
        target_modules=r".*layers\.(0|11)\..*(k_proj|v_proj|fc2)", feedforward_modules=r".*fc2", **HEAD
    ),
    "vit.loha": peft.LoHaConfig(
        r=1, alpha=2, target_modules=QV, alpha_pattern={"q_proj": 3}, **LAST, **HEAD
    ),
    "dinov2": peft.LoraConfig(r=2, target_modules=["q_proj", "k_proj"], **LAST, **HEAD),
    "registers": peft.LoraConfig(r=1, target_modules=QV, **LAST, **HEAD),
    "dinov3": peft.LoraConfig(r=1, target_modules=[*QV, "o_proj"], **LAST, **HEAD),
    "dinov3_plus": peft.LoraConfig(r=1, target_modules=["v_proj", "up_proj"], **LAST, **HEAD),
    "clip": peft.LoraConfig(r=1, target_modules=QV, **LAST, **HEAD),
    # Its head is that of the base.
    "siglip": peft.LoraConfig(r=1, target_modules=QV, **LAST),
}

OLD = [
    ("vit.layers.", "vit.encoder.layer."),
    ("attention.q_proj", "attention.attention.query"),
    ("attention.v_proj", "attention.attention.value"),
    ("q_proj", "query"),
    ("v_proj", "value"),
]


def stir(model):
    """Values by formula for everything that trains."""
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        u = torch.from_numpy(architectures.uniform(name, parameter.numel()).astype("float32"))
        u = u.reshape(parameter.shape)
        if any(kind in name for kind in ("lora_A", "hada_w1_b", "hada_w2_b")):
            parameter.data = u * (3 / parameter.shape[1]) ** 0.5
        elif any(kind in name for kind in ("ia3_l", "magnitude")):
            parameter.data = parameter.data * (1 + 0.3 * u)
        else:
            parameter.data = parameter.data + 0.3 * u


def logits_of(model, x):
    """Computed in float64 from the values in float32."""
    found = model.double()(x.double())
    model.float()
    return getattr(found, "logits", found).detach().float()


def rename(folder):
    """Gives an adapter the names of transformers 4."""
    def old(text):
        for new, before in OLD:
            text = text.replace(new, before)
        return text

    tensors = load_file(folder / "adapter_model.safetensors")
    save_file({old(name): tensor for name, tensor in tensors.items()}, folder / "adapter_model.safetensors")
    config = folder / "adapter_config.json"
    config.write_text(old(config.read_text()))


def write(folder, only):
    for name, config in CASES.items():
        if only and name not in only:
            continue
        model, x = base(name.split(".")[0])
        plain = logits_of(model, x)
        model = peft.get_peft_model(model, config).eval()
        stir(model)
        target = folder / name
        shutil.rmtree(target, ignore_errors=True)
        model.save_pretrained(target)
        (target / "README.md").unlink()
        logits = logits_of(model, x)
        save_file({"logits": logits}, target / "logits.safetensors")
        if name.endswith(".old"):
            rename(target)
        print(f"{name:16} {logits.abs().max():.2f}, changed by {(logits - plain).abs().max():.2f}")


def check(folder):
    worst = 0.0
    for path in sorted(folder.iterdir()):
        model, x = base(path.name.split(".")[0])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = peft.PeftModel.from_pretrained(model, path).eval()
        missing = [str(w.message) for w in caught if "missing adapter keys" in str(w.message)]
        assert not missing, (path.name, missing)
        wanted = load_file(path / "logits.safetensors")["logits"]
        found = logits_of(model, x)
        apart = ((found - wanted).abs().max() / wanted.abs().max()).item()
        kind = json.loads((path / "adapter_config.json").read_text())["peft_type"]
        print(f"{path.name:24} {kind:8} {apart:.1e}")
        worst = max(worst, apart)
    assert worst <= 1e-4, worst


if sys.argv[1] == "write":
    write(pathlib.Path(sys.argv[2]), sys.argv[3:])
else:
    check(pathlib.Path(sys.argv[2]))
