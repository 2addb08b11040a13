"""Writes which repository of the Hugging Face Hub has the default pretrained weights of each of timm's models.

    python tests/parity/registry.py > crates/finetune/src/weights/registry.tsv

A line has a model's name, the repository and the licence of the weights as timm states it (`-` if it does
not), separated by tabs. Nothing is downloaded: timm has the list. The SHA-256 of the files is not part of
it, because timm does not know them: the hashes in the names of its older downloads are those of other files.
"""

import datetime

import timm

print(f"# timm {timm.__version__}, {datetime.date.today()}, tests/parity/registry.py")
names = {name.split(".")[0] for name in timm.list_models(pretrained=True)}
for name in sorted(names):
    weights = timm.models.get_pretrained_cfg(name)
    if weights and weights.hf_hub_id and not weights.hf_hub_filename:
        print(f"{name}\t{weights.hf_hub_id}\t{weights.license or '-'}")
