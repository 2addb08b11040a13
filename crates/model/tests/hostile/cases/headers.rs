//! Headers of safetensors files.

use super::super::build::safetensors;
use super::{Cases, Replaced};

/// One tensor of a safetensors header.
fn entry(dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
}

#[allow(clippy::too_many_lines)] // a table
pub(super) fn add(cases: &mut Cases) {
    let f32s = |shape: &str, offsets: &str| safetensors(&entry("F32", shape, offsets), 8);
    cases.right("plain", f32s("[2]", "[0,8]"), 2);
    cases.right("scalar", safetensors(&entry("F32", "[]", "[0,4]"), 4), 1);
    cases.right(
        "none of zero",
        safetensors(&entry("F32", "[0,3]", "[0,0]"), 0),
        0,
    );
    cases.right(
        "rows of zero",
        safetensors(&entry("F32", "[1000000000000,0]", "[0,0]"), 0),
        0,
    );
    for (name, length) in [
        ("huge", u64::MAX),
        ("half", 1 << 63),
        ("too long", 100_000_001),
        ("beyond", 100),
    ] {
        let mut bytes = f32s("[2]", "[0,8]");
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        cases.wrong(&format!("header {name}"), bytes, "");
    }
    cases.wrong(
        "header of zero",
        safetensors("", 8),
        "its header is not valid",
    );
    cases.wrong(
        "header is a list",
        safetensors("[1,2]", 0),
        "its header is not valid",
    );
    cases.wrong(
        "header is cut",
        safetensors(r#"{"a":{"dtype""#, 0),
        "its header is not valid",
    );
    cases.wrong(
        "header is nested",
        safetensors(&format!(r#"{{"a":{}"#, "[".repeat(1 << 20)), 0),
        "",
    );
    cases.wrong(
        "header is not text",
        {
            let mut bytes = f32s("[2]", "[0,8]");
            bytes[10] = 0xff;
            bytes
        },
        "its header is not valid",
    );
    for (name, shape, offsets) in [
        ("too many", "[3]", "[0,8]"),
        ("overflow", "[4294967296,4294967296]", "[0,0]"),
        (
            "zero times huge",
            "[0,1099511627776,1099511627776]",
            "[0,0]",
        ),
        ("half of memory", "[9223372036854775807]", "[0,8]"),
        ("backwards", "[2]", "[8,0]"),
        ("gap", "[1]", "[4,8]"),
        ("outside", "[3]", "[0,12]"),
        (
            "far outside",
            "[2]",
            "[18446744073709551607,18446744073709551615]",
        ),
    ] {
        cases.wrong(&format!("shape {name}"), f32s(shape, offsets), "its te");
    }
    for (name, shape) in [
        ("negative", "[-1]"),
        ("fraction", "[1.5]"),
        ("text", "[\"2\"]"),
        ("beyond integers", "[36893488147419103232]"),
        ("axes", &format!("[{}1]", "1,".repeat(64))),
        ("million axes", &format!("[{}1]", "1,".repeat(1 << 20))),
    ] {
        cases.wrong(
            &format!("shape {name}"),
            f32s(shape, "[0,8]"),
            "its header is not valid",
        );
    }
    cases.wrong(
        "odd bits",
        safetensors(&entry("F4", "[3]", "[0,2]"), 2),
        "the size of its shape",
    );
    cases.wrong(
        "type",
        f32s("[2]", "[0,8]").replaced(b"F32", b"F33"),
        "the type `F33` is unknown",
    );
    let escape = safetensors(&entry(r"\u001b[31m", "[2]", "[0,8]"), 8);
    cases.wrong("type that paints", escape, r"\x1b[31m");
    cases.wrong(
        "integers",
        safetensors(&entry("I32", "[2]", "[0,8]"), 8),
        "is of I32, not f32",
    );
    let both = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    cases.wrong("overlap", safetensors(both, 4), "its tensors overlap");
    cases.wrong(
        "same names",
        safetensors(&both.replace("\"b\"", "\"a\""), 8),
        "the same name",
    );
    cases.wrong(
        "truncated",
        f32s("[2]", "[0,8]")[..69].to_vec(),
        "it is truncated or damaged",
    );
    cases.wrong(
        "longer",
        safetensors(&entry("F32", "[2]", "[0,8]"), 9),
        "it is truncated or damaged",
    );
    cases.wrong(
        "metadata",
        safetensors(r#"{"__metadata__":{"a":1}}"#, 0),
        "its header is not valid",
    );
    let long = format!(r#"{{"__metadata__":{{"a":"{}"}}}}"#, "x".repeat(50_000_000));
    cases.right("long metadata", safetensors(&long, 0), 0);
    let many: Vec<String> = (0..100_000)
        .map(|index| format!(r#""{index}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#))
        .collect();
    cases.wrong(
        "many tensors",
        safetensors(&format!("{{{}}}", many.join(",")), 0),
        "more than 65536 tensors",
    );
    let pairs: Vec<String> = (0..1_000_000)
        .map(|index| format!(r#""{index}":"""#))
        .collect();
    let many = format!(r#"{{"__metadata__":{{{}}}}}"#, pairs.join(","));
    cases.wrong("many pairs", safetensors(&many, 0), "more than");
}
