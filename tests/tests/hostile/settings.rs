//! Settings, typed and from files.

use crate::bytes::{damaged, strangers};
use crate::case::Case;

/// Numbers that no setting expects.
const NUMBERS: [&str; 6] = ["-1", "0", "1e300", "nan", "18446744073709551615", "0.5"];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let train = "train --data data --epochs 1 --out out --ui none";
    for flag in [
        "epochs",
        "batch-size",
        "accumulate",
        "seed",
        "lr",
        "warmup",
        "head-lr-ratio",
        "layer-decay",
        "weight-decay",
        "clip-norm",
        "label-smoothing",
        "ema",
        "unfreeze-epochs",
        "patience",
        "image-size",
        "train-per-class",
        "valid-fraction",
        "max-pixels",
        "threads",
        "workers",
        "cache-limit",
        "checkpoint-seconds",
        "keep-checkpoints",
        "lora-rank",
        "lora-alpha",
        "lora-dropout",
        "augment-views",
        "mixup",
        "cutmix",
        "layers-to-transform",
    ] {
        for number in NUMBERS {
            // These train for long, as they should.
            if flag == "epochs" && number == "18446744073709551615" {
                continue;
            }
            let train = if flag == "epochs" {
                train.replace("--epochs 1", "")
            } else {
                train.to_owned()
            };
            let name = format!("typed-{flag}-{number}");
            cases.push(
                Case::new(name, format!("{train} --method lora --{flag}={number}")).with_data(),
            );
        }
    }
    for setting in [
        "lora.rank=18446744073709551615",
        "lora.rank=-1",
        "lora.rank=\u{1b}[31m",
        "lora.alpha=1e999",
        "lora.dropout=1",
        "lora.rank_pattern={\"(((\":1}",
        "lora.rank",
        "=",
        "lora.=",
        ".rank=1",
        "lora.alpha_pattern={\".*\":1e308}",
        "lora.init=\u{7}",
        "loha.rank=0",
        "oft.block_size=0",
        "vera.rank=0",
        "adalora.rank=99999999999",
        "peft.density=0",
        "lora.rank=[[[[[[[[",
    ] {
        let method = setting
            .split('.')
            .next()
            .filter(|it| it.len() > 2)
            .unwrap_or("lora");
        let arguments = format!("{train} --method {method} --set {setting}");
        cases.push(Case::new(format!("set-{setting}"), arguments).with_data());
    }
    for (name, arguments) in [
        ("targets-regex", "--method lora --targets ((((".to_owned()),
        (
            "targets-slow",
            "--method lora --targets (a*)*(b*)*$".to_owned(),
        ),
        (
            "targets-large",
            "--method lora --targets .{1000}{1000}".to_owned(),
        ),
        ("targets-none", "--method lora --targets nothing".to_owned()),
        ("seeds", "--seeds 18446744073709551615".to_owned()),
        ("folds", "--folds 18446744073709551615 --fold 1".to_owned()),
        ("folds-zero", "--folds 0 --fold 0".to_owned()),
        ("fold-alone", "--fold 9".to_owned()),
        ("device", "--device \u{1b}[31mcpu".to_owned()),
        ("model", "--model \u{1b}]0;title\u{7}".to_owned()),
        ("method", "--method \u{202e}lora".to_owned()),
        ("out-file", "--out data/train/red/0.png".to_owned()),
        ("out-inside", "--out data/train".to_owned()),
        ("out-device", "--out /dev/null/x".to_owned()),
        ("memory", "--image-size 100000".to_owned()),
        ("batch", "--batch-size 1000000000000000000".to_owned()),
        (
            "sum",
            "--epochs 4611686018427387904 --batch-size 1 --patience 1 --valid-fraction 0.5"
                .to_owned(),
        ),
        (
            "preset-and-model",
            "--preset chapter --model vit_tiny_patch16_224".to_owned(),
        ),
    ] {
        let name = format!("typed-{name}");
        cases.push(
            Case::new(
                name,
                format!("train --data data --out out --ui none {arguments}"),
            )
            .with_data(),
        );
    }
    for ending in ["toml", "json"] {
        let file = format!("x.{ending}");
        let train = format!("train --data data --out out --ui none --config {file}");
        let text = match ending {
            "toml" => "epochs = 1\nmethod = \"lora\"\n".to_owned(),
            _ => "{\"epochs\": 1, \"method\": \"lora\"}".to_owned(),
        };
        for (how, bytes) in damaged(text.as_bytes()).into_iter().chain(strangers()) {
            cases.push(
                Case::new(format!("config-{ending}-{how}"), &train)
                    .with_data()
                    .file(&file, bytes),
            );
        }
        cases.push(
            Case::new(format!("config-{ending}-pipe"), &train)
                .with_data()
                .pipe(&file),
        );
        cases.push(
            Case::new(format!("config-{ending}-device"), &train)
                .with_data()
                .link(&file, "/dev/zero"),
        );
        let values = match ending {
            "toml" => vec![
                "epochs = [[1]]",
                "epochs = {a = 1}",
                "epochs = true",
                "epochs = \"\\u001b[31m\"",
                "epochs = 1979-05-27",
                "epochs = nan",
                "set = 3",
                "\"\\u001b[31m\" = 1",
                "weights = \"\\u0000\"",
                "config = \"x.toml\"",
                "resume = \"x\"",
                "[set.lora]\nrank = -1",
            ],
            _ => vec![
                "[]",
                "null",
                "{\"epochs\": [[1]]}",
                "{\"epochs\": {\"a\": {}}}",
                "{\"epochs\": null}",
                "{\"epochs\": 1e999}",
                "{\"\\u001b\": 1}",
                "{\"set\": {\"lora\": []}}",
                "{\"runs\": []}",
                "{\"runs\": [{}]}",
                "{\"runs\": 3}",
                "{\"epochs\": 1, \"epochs\": 2}",
            ],
        };
        for (index, text) in values.into_iter().enumerate() {
            let name = format!("config-{ending}-value-{index}");
            cases.push(Case::new(name, &train).with_data().file(&file, text));
        }
        let deep = match ending {
            "toml" => format!("epochs = {}", "[".repeat(100_000)),
            _ => "[".repeat(1_000_000),
        };
        cases.push(
            Case::new(format!("config-{ending}-deep"), &train)
                .with_data()
                .file(&file, deep),
        );
    }
    cases
}
