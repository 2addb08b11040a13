#!/bin/sh
# Predictions for large photographs, against PyTorch with two workers: images per second of both.
#
#     benches/predict.sh FOLDER [PYTHON]
#
# makes 200 photographs of 4000×3000 pixels in FOLDER (about 500 MB; once), trains a MobileNetV2 of random
# weights for a step, exports it for torchvision, and classifies the photographs ten times over (2000 images)
# with both, three times in turn. PYTHON has torch, torchvision, pillow and safetensors
# (benches/requirements.txt). Close everything else.
set -eu
cd "$(dirname "$0")/.."
folder=$1
python=${2:-python3}
images=${IMAGES:-2000}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
photographs=$folder/photographs
run=$folder/run
[ -d "$photographs" ] || "$python" benches/predict_pytorch.py photographs "$photographs" 200
cargo build --workspace
finetune=$PWD/target/debug/finetune
if [ ! -d "$run" ]; then
    "$finetune" train --method scratch --model mobilenet_v2 --image-size 224 --train-per-class 1 --epochs 1 \
        --augment none --ui none --out "$run"
    "$finetune" export --run "$run" --names torchvision --out "$folder/model.safetensors"
fi
list=$folder/list
: > "$list"
for _ in $(seq $((images / 200))); do
    ls -d "$photographs"/*.jpg >> "$list"
done
for round in 1 2 3; do
    echo "round $round, finetune:"
    "$finetune" predict --run "$run" --format csv - < "$list" > "$folder/finetune.csv"
    for decoder in pil torchvision; do
        echo "round $round, PyTorch, $decoder:"
        "$python" benches/predict_pytorch.py predict "$folder/model.safetensors" "$photographs" \
            --decoder "$decoder" --repeat $((images / 200))
    done
done
