//! Weights files: safetensors, PyTorch's archives and pickles.

use serde_json::{Value, json};

use crate::bytes::{damaged, strangers};
use crate::case::{Base, Case};

fn inspect(name: &str, file: &str, bytes: impl Into<Vec<u8>>) -> Case {
    let arguments = format!("inspect --weights {file} --method lora");
    Case::new(format!("weights-{name}"), arguments).file(file, bytes)
}

fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), data].concat()
}

/// A safetensors file with one tensor that is described like this.
fn tensor(description: &Value) -> Vec<u8> {
    with_header(
        &json!({ "conv1.weight": description }).to_string(),
        &[0; 64],
    )
}

pub fn cases(base: &Base) -> Vec<Case> {
    let mut cases = Vec::new();
    for file in ["model.safetensors", "model.pth"] {
        for (how, bytes) in damaged(&base.read(file)) {
            cases.push(inspect(&format!("{file}-{how}"), file, bytes));
        }
        for (how, bytes) in strangers() {
            cases.push(inspect(&format!("{file}-{how}"), file, bytes));
        }
        let of = |name: &str| {
            Case::new(
                format!("weights-{name}-{file}"),
                format!("inspect --weights {file}"),
            )
        };
        cases.push(of("pipe").pipe(file));
        cases.push(of("device").link(file, "/dev/zero"));
        cases.push(of("folder").folder(file));
        cases.push(of("missing"));
    }
    cases.extend(headers());
    cases.extend(pickles());
    for name in [
        "https://huggingface.co/timm/resnet18",
        "timm/resnet18.a1_in1k",
        "hf:",
        "hf:a",
        "\u{1b}[31m",
    ] {
        cases.push(Case::new(
            format!("weights-named-{name}"),
            format!("train --weights {name} --out out"),
        ));
    }
    cases
}

fn headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [0, 1, 100, 1 << 30, 1 << 40, u64::MAX, i64::MAX as u64] {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        cases.push(inspect(&format!("header-{length}"), "x.safetensors", bytes));
    }
    for (name, description) in [
        (
            "shape-overflow",
            json!({"dtype": "F32", "shape": [1_u64 << 40, 1_u64 << 40], "data_offsets": [0, 64]}),
        ),
        (
            "shape-zero",
            json!({"dtype": "F32", "shape": [0, u64::MAX], "data_offsets": [0, 0]}),
        ),
        (
            "shape-negative",
            json!({"dtype": "F32", "shape": [-4, -4], "data_offsets": [0, 64]}),
        ),
        (
            "shape-float",
            json!({"dtype": "F32", "shape": [4.5], "data_offsets": [0, 64]}),
        ),
        (
            "offsets-reversed",
            json!({"dtype": "F32", "shape": [16], "data_offsets": [64, 0]}),
        ),
        (
            "offsets-outside",
            json!({"dtype": "F32", "shape": [16], "data_offsets": [1_u64 << 50, (1_u64 << 50) + 64]}),
        ),
        (
            "offsets-huge",
            json!({"dtype": "F32", "shape": [16], "data_offsets": [u64::MAX - 63, u64::MAX]}),
        ),
        (
            "type-unknown",
            json!({"dtype": "\u{1b}[31m", "shape": [16], "data_offsets": [0, 64]}),
        ),
        (
            "type-integer",
            json!({"dtype": "I64", "shape": [8], "data_offsets": [0, 64]}),
        ),
        ("not-an-object", json!([1, 2, 3])),
        (
            "many-axes",
            json!({"dtype": "F32", "shape": vec![1; 100_000], "data_offsets": [0, 4]}),
        ),
    ] {
        cases.push(inspect(name, "x.safetensors", tensor(&description)));
    }
    let many: serde_json::Map<_, _> = (0..50_000)
        .map(|index| {
            let value = json!({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]});
            (format!("layer.{index}.weight"), value)
        })
        .collect();
    let many = Value::Object(many).to_string();
    for (name, header) in [
        ("many-tensors", many.as_str()),
        ("deep", &"{\"a\":".repeat(100_000)),
        ("metadata-number", r#"{"__metadata__": {"format": 1}}"#),
        ("metadata-list", r#"{"__metadata__": [1]}"#),
        (
            "metadata-ours",
            r#"{"__metadata__": {"finetune": "{\"model\": \"resnet8\", \"image_size\": 99999999999}"}}"#,
        ),
        (
            "metadata-escape",
            "{\"__metadata__\": {\"finetune\": \"\\u001b[31m\"}}",
        ),
        (
            "same-name",
            r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#,
        ),
    ] {
        cases.push(inspect(
            name,
            "x.safetensors",
            with_header(header, &[0; 64]),
        ));
    }
    let long = format!(
        r#"{{"__metadata__": {{"finetune": "{}"}}}}"#,
        "x".repeat(20_000_000)
    );
    cases.push(inspect(
        "metadata-long",
        "x.safetensors",
        with_header(&long, &[]),
    ));
    let escape = "{\"\\u001b[31m\\u0007\\u202e\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}";
    cases.push(inspect(
        "name-escape",
        "x.safetensors",
        with_header(escape, &[0; 4]),
    ));
    cases
}

/// Pickles alone, as `torch.save` wrote them before version 1.6.
fn pickles() -> Vec<Case> {
    let protocol = b"\x80\x02";
    let pickle = |parts: &[&[u8]]| [&[protocol.as_slice()], parts, &[b"."]].concat().concat();
    let mut cases: Vec<Case> = [
        ("deep-lists", pickle(&[&b"]".repeat(2_000_000)])),
        ("deep-marks", pickle(&[&b"(".repeat(2_000_000)])),
        ("deep-tuples", pickle(&[b")", &b"\x85".repeat(2_000_000)])),
        (
            "nested-appends",
            pickle(&[&b"]]".repeat(200_000), &b"a".repeat(200_000)]),
        ),
        ("doubling", pickle(&[b"]", &b"2a2".repeat(60)])),
        (
            "many-numbers",
            pickle(&[b"](", &b"K\x01".repeat(3_000_000), b"e"]),
        ),
        (
            "many-dicts",
            pickle(&[b"](", &b"}".repeat(3_000_000), b"e"]),
        ),
        ("long-number", pickle(&[b"\x8b\xff\xff\xff\x7f"])),
        ("negative-length", pickle(&[b"\x8b\xff\xff\xff\xff"])),
        ("long-text", pickle(&[b"X\xff\xff\xff\x7f"])),
        (
            "long-bytes",
            pickle(&[b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f"]),
        ),
        ("empty-stack", pickle(&[b"000000"])),
        ("no-mark", pickle(&[b"e"])),
        ("missing-memo", pickle(&[b"h\x07"])),
        ("far-memo", pickle(&[b"Nr\xff\xff\xff\xff"])),
        ("unknown-opcode", pickle(&[b"\xff\xfe\xfd"])),
        (
            "system",
            pickle(&[b"cos\nsystem\n(X\x09\x00\x00\x00touch hittR"]),
        ),
        (
            "builtins",
            pickle(&[b"cbuiltins\neval\n(X\x03\x00\x00\x001+1tR"]),
        ),
        ("not-a-dict", pickle(&[b"K\x01"])),
        ("empty-dict", pickle(&[b"}"])),
        (
            "dict-of-itself",
            pickle(&[b"}q\x00X\x01\x00\x00\x00ah\x00s"]),
        ),
        ("list-of-itself", pickle(&[b"]q\x00h\x00a"])),
        ("never-ends", b"\x80\x02}".to_vec()),
        ("protocol-99", b"\x80\x63}.".to_vec()),
        ("frame", pickle(&[b"\x95\xff\xff\xff\xff\xff\xff\xff\xff}"])),
        ("float-text", pickle(&[b"Fnan\nFinf\nF1e999\n"])),
        ("int-text", pickle(&[b"I", &b"9".repeat(1_000_000), b"\n"])),
        ("global-escape", pickle(&[b"c\x1b[31m\nx\x07\n"])),
    ]
    .into_iter()
    .map(|(name, bytes)| inspect(&format!("pickle-{name}"), "x.pth", bytes))
    .collect();
    // A storage of 2^40 numbers, as a tensor with strides that leave it.
    let tensor = b"}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu\x8a\x06\x00\x00\x00\x00\x00\x01tQ\x8a\x05\xff\xff\xff\xff\x7f(\x8a\x05\xff\xff\xff\xff\x7fK\x02t(\x8a\x01\xff\x8a\x05\xff\xff\xff\xff\x7ft\x89ccollections\nOrderedDict\n)RtRs";
    cases.push(inspect("pickle-huge-storage", "x.pth", pickle(&[tensor])));
    cases
}
