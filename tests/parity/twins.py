#!/usr/bin/env python3
"""Finds the models of timm that have the tensors of a network here, for its aliases and `weights/twins.rs`.

    pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31 transformers==5.24.0
    python3 tests/parity/twins.py > twins.json

The networks here are those whose names or aliases in the tables of `crates/model/src/networks` are names of
timm. Another model has the tensors of one if a file of it would be recognised as that one: names and shapes
are equal without the head, except for axes of length 1, the size of a position embedding, and tensors that
belong to none of the network's layers. Whether both compute the same is then computed, with equal weights
and in float64, so that another epsilon of a normalisation counts as well.

Prints a JSON object with lists of names of timm for the networks here:

- `aliases`: models that compute the same; `deprecated`: earlier names that timm has for the network;
- `twins`: models that compute something else, and the same as no network here;
- `wrong`: aliases that compute something else; `unknown`: models that are too large to be computed, or fail.

`prepared` has the settings of an alias's default weights that differ from the network's, which come first.
"""

import collections
import json
import math
import pathlib
import re
import sys

import timm
import torch
from timm.models import _registry

from architectures import filled, images

NETWORKS = pathlib.Path(__file__).parents[2] / "crates/model/src/networks"
# As `is_no_weight` in `weights/matching.rs`.
NO_WEIGHTS = "num_batches_tracked relative_position_index relative_coords_table attn_mask".split()
TOKENS = {"attn_pool", "dist_token", "reg_token", "register_tokens"}  # as `is_neighbour`
NO_WEIGHTS += "position_ids mask_token inv_freq periods".split()
SETTINGS = ("input_size", "mean", "std", "interpolation", "crop_pct")
ODD = (97, 131)  # a size besides a network's own, if it takes any
MOST_PARAMETERS = 1e9
TOLERANCE = 1e-7  # far above the rounding of float64, and below what another epsilon changes


def names() -> dict[str, str]:
    """From names that timm has or had for a network here to its name; those that are equal come first."""
    found = {}
    for path in sorted(NETWORKS.rglob("*.rs")):
        text = path.read_text()
        for name, aliases in re.findall(r'"([^"]*)",\s*(?:aliases:\s*)?&\[([^\]]*)\]', text):
            found |= {alias: name for alias in re.findall(r'"([^"]*)"', aliases)}
        for name in re.findall(r'"([^"]*)"', text):
            found.setdefault(name, name)
    equal_first = sorted(found.items(), key=lambda pair: pair[0] != pair[1])
    return {name: network for name, network in equal_first if timm.is_model(name)}


def body(name: str) -> tuple[dict, dict]:
    """The shapes of a model's tensors without its head, and how images are prepared for it."""
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0)
    shapes = {
        key: tuple(length for length in tensor.shape if length != 1)
        for key, tensor in model.state_dict().items()
        if not key.endswith(tuple(NO_WEIGHTS))
    }
    return shapes, {key: model.pretrained_cfg.get(key) for key in SETTINGS}


def same_shape(key: str, ours: tuple, theirs: tuple) -> bool:
    if key != "pos_embed" or ours[1:] != theirs[1:]:
        return ours == theirs
    rest = lambda tokens: tokens - math.isqrt(tokens) ** 2
    prefix = rest(ours[0])
    return rest(theirs[0] - prefix) == 0 or (prefix == 0 and rest(theirs[0] - 1) == 0)


def fits(ours: dict, theirs: dict) -> bool:
    """Whether a file with the tensors of `theirs` is recognised as `ours`."""
    if not all(key in theirs and same_shape(key, shape, theirs[key]) for key, shape in ours.items()):
        return False
    layer = lambda key: key.split(".")[0].rstrip("0123456789")
    layers = {layer(key) for key in ours} | TOKENS
    return not any(layer(key) in layers for key in theirs.keys() - ours.keys())


@torch.no_grad()
def features(name: str, sizes: list, **settings) -> dict:
    """What a model computes before its head of images of those sizes that it takes."""
    if "dinov3" in name:  # as in `families/foundation.py`
        settings["global_pool"] = "token"
    model = timm.create_model(name, num_classes=0, **settings).eval()
    model.load_state_dict(filled(model.state_dict()))
    model.double()
    found = {}
    for size in sizes:
        try:
            found[size] = model(images(1, *size).double())
        except (AssertionError, RuntimeError):  # it takes images of its own size only
            pass
    return found


def difference(known: str, name: str, bodies: dict) -> float:
    """How far apart the features of two models are, relative to the largest; NaN if that is not known."""
    (_, prepared), (theirs, other) = bodies[known], bodies[name]
    if sum(math.prod(shape) for shape in theirs.values()) > MOST_PARAMETERS:
        return math.nan
    size = prepared["input_size"][1:]
    resized = "pos_embed" in theirs and other["input_size"][1:] != size
    try:
        wanted = features(known, [ODD, size])
        found = features(name, list(wanted), **({"img_size": size} if resized else {}))
        return max(((wanted[at] - x).abs().max() / x.abs().max()).item() for at, x in found.items())
    except Exception as error:  # of any kind, by models of which little is known
        print(name, repr(error)[:200], file=sys.stderr)
        return math.nan


def main() -> None:
    torch.set_num_threads(1)
    ours = names()
    bodies = {name: body(name) for name in timm.list_models()}
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    prepared, compared = {}, set()
    for known, name in ((known, name) for known in ours if known in bodies for name in bodies):
        network = ours[known]
        is_new = ours.get(name, network) == network and (network, name) not in compared
        if not is_new or not fits(bodies[known][0], bodies[name][0]):
            continue
        compared.add((network, name))
        apart = 0.0 if name == known else difference(known, name, bodies)
        print(known, name, apart, file=sys.stderr)
        kind = "unknown" if math.isnan(apart) else "twins" if apart > TOLERANCE else "aliases"
        if name not in ours or kind != "aliases":
            found["wrong" if kind == "twins" and name in ours else kind][network].append(name)
            pairs = {key: (bodies[known][1][key], bodies[name][1][key]) for key in SETTINGS}
            prepared[name] = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    aliases = set().union(*found["aliases"].values())
    twins = {network: set(several) - aliases for network, several in found["twins"].items()}
    found["twins"] = {network: sorted(several) for network, several in twins.items() if several}
    for name, current in _registry._deprecated_models.items():
        if name not in ours and (network := ours.get((current or "").split(".")[0])):
            found["deprecated"][network].append(name)
    print(json.dumps(found | {"prepared": {name: prepared[name] for name in sorted(aliases)}}, indent=1))


if __name__ == "__main__":
    main()
