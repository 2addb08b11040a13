//! Pickles that are wrong.

use super::super::build::{integer, storage, tensor, text, torch, tuple};
use super::Cases;

#[allow(clippy::too_many_lines)] // a table
pub(super) fn add(cases: &mut Cases) {
    let mut wrong = |name: &str, pickle: &[u8], reason: &'static str| {
        cases.wrong(&format!("pickle {name}"), torch(pickle), reason);
    };
    wrong("empty", b"", "its pickle ends early");
    wrong("protocol", b"\x80\x09.", "the protocol 9");
    wrong("stop", b"\x80\x02.", "an empty stack");
    wrong("without stop", b"\x80\x02}", "its pickle ends early");
    wrong("instruction", b"\x80\x02\xff.", "0xff");
    wrong("pop", b"\x80\x020.", "an empty stack");
    wrong("tuple", b"\x80\x02t.", "no mark");
    wrong("pair", b"\x80\x02N\x86.", "an empty stack");
    wrong("past a mark", b"\x80\x02N(0R.", "an empty stack");
    wrong("append", b"\x80\x02Na.", "no list");
    wrong("items", b"\x80\x02(NNu.", "no dictionary");
    wrong("odd items", b"\x80\x02}(NNNu.", "it has no tensors");
    wrong("memo", b"\x80\x02h\x05.", "does not have");
    wrong("put", b"\x80\x02q\x05.", "an empty stack");
    wrong(
        "far memo",
        b"\x80\x02}r\xff\xff\xff\xffj\xff\xff\xff\xff.",
        "it has no tensors",
    );
    wrong("class of numbers", b"\x80\x02K\x01K\x02\x93.", "no text");
    wrong("state of nothing", b"\x80\x02NNb.", "it has no tensors");
    wrong(
        "state of itself",
        b"\x80\x02}q\x00h\x00b.",
        "it has no tensors",
    );
    wrong("call of nothing", b"\x80\x02NNR.", "it has no tensors");
    wrong(
        "text that is no text",
        b"\x80\x02X\x02\0\0\0\xff\xfe.",
        "it has no tensors",
    );
    wrong(
        "length",
        b"\x80\x05\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        "its pickle ends early",
    );
    wrong(
        "bytes",
        b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        "its pickle ends early",
    );
    wrong(
        "negative bytes",
        b"\x80\x02T\xff\xff\xff\xff.",
        "its pickle ends early",
    );
    wrong(
        "integer",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "its pickle ends early",
    );
    wrong("number", b"Ixyz\n.", "it has no tensors");
    wrong("index", b"Ngxyz\n.", "no number");
    wrong(
        "frame",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xff.",
        "an empty stack",
    );
    wrong("extension", b"\x80\x02\x82\x01.", "it has no tensors");
    wrong(
        "line",
        &[b"c".to_vec(), vec![b'a'; 1 << 20]].concat(),
        "too long",
    );
    wrong(
        "command",
        b"cos\nsystem\n(S'touch here'\ntR.",
        "it has no tensors",
    );
    wrong("storage id", b"\x80\x02K\x01Q.", "it has no tensors");
    wrong(
        "storage type",
        &[
            tuple(&[
                text("storage"),
                b"cos\nsystem\n".to_vec(),
                text("0"),
                text(""),
                integer(1),
            ]),
            b"Q.".to_vec(),
        ]
        .concat(),
        "unknown type of numbers",
    );
    // Calls that rebuild by calls that rebuild …, in a circle of two.
    let circle = b"\x80\x02]q\x00]q\x01h\x00(ctorch._tensor\n_rebuild_from_type_v2\nNh\x01eh\x01(ctorch._tensor\n_rebuild_from_type_v2\nNh\x00e\
                   ctorch._tensor\n_rebuild_from_type_v2\nh\x00R.";
    wrong("circle of calls", circle, "it has no tensors");
    let good = tensor(&storage("0", 16), 0, &[2], &[1]);
    // Lists and dictionaries that contain themselves, beside a tensor.
    let mut circles = b"\x80\x02]q\x00(h\x00}q\x01(K\x01h\x01K\x02h\x00u".to_vec();
    circles.extend(&good);
    circles.extend_from_slice(b"e.");
    cases.right("pickle circles", torch(&circles), 2);
    // A tensor within a hundred thousand lists.
    let deep = [
        b"\x80\x02".to_vec(),
        b"]".repeat(100_000),
        good.clone(),
        b"a".repeat(100_000),
        b".".to_vec(),
    ]
    .concat();
    cases.right("pickle deep", torch(&deep), 2);
    let deep = [
        b"\x80\x02".to_vec(),
        good.clone(),
        b"\x85".repeat(100_000),
        b".".to_vec(),
    ]
    .concat();
    cases.right("pickle deep tuples", torch(&deep), 2);
}
