//! Pickles that would need much memory or time.

use super::super::build::{Part, archive, dictionary, storage, tensor, text, torch};
use super::Cases;

#[allow(clippy::too_many_lines)] // a table
pub(super) fn add(cases: &mut Cases) {
    const MANY: usize = 10_000_000;
    let mut wrong = |name: &str, part: &[u8], count: usize, reason: &'static str| {
        cases.bomb(name, part, count, reason);
    };
    wrong("nothing", b"N", MANY, "at a time");
    wrong("marks", b"(", MANY, "at a time");
    wrong("lists", b"]", MANY, "at a time");
    wrong("lists in the memo", b"]\x940", MANY, "small objects");
    wrong("dictionaries", b"}0", MANY, "small objects");
    wrong("texts", b"\x8c\x01a0", MANY, "an empty stack");
    wrong(
        "texts in the memo",
        b"\x8c\x01a\x940",
        MANY,
        "an empty stack",
    );
    wrong("pairs", b"K\x01K\x02\x860", MANY, "small objects");
    wrong("integers", b"\x8a\x08\0\0\0\0\0\0\0\x010", MANY, "");
    wrong("objects", b"ca\nb\n)\x810", MANY / 2, "an empty stack");
    wrong("nested tuples", b"N\x85", MANY / 2, "at a time");
    wrong("nested lists", b"](", MANY / 2, "at a time");
    let sparse: Vec<u8> = (0..1_000_000_u32)
        .flat_map(|index| [b"r".to_vec(), (index * 1000 + 100).to_le_bytes().to_vec()].concat())
        .collect();
    cases.wrong(
        "bomb of a sparse memo",
        torch(&[b"\x80\x02N".to_vec(), sparse, b".".to_vec()].concat()),
        "small objects",
    );
    // Tensors by two bytes each.
    let good = tensor(&storage("0", 16), 0, &[2], &[1]);
    let mut tensors = b"\x80\x02".to_vec();
    tensors.extend_from_slice(&good[..good.len() - 1]);
    tensors.extend_from_slice(b"\x86q\x000");
    tensors.extend_from_slice(b"h\x00.");
    cases.wrong("pickle of a pair", torch(&tensors), "it has no tensors");
    let class = b"ctorch._utils\n_rebuild_tensor_v2\n";
    let mut tensors = b"\x80\x02]".to_vec();
    let arguments = &good[class.len()..good.len() - 1];
    tensors.extend_from_slice(class);
    tensors.extend_from_slice(b"q\x000");
    tensors.extend_from_slice(arguments);
    tensors.extend_from_slice(b"q\x010");
    tensors.extend(b"h\x00h\x01Ra".repeat(1_000_000));
    tensors.push(b'.');
    cases.wrong("bomb of tensors", torch(&tensors), "");
    // A tensor in ten lists, which are in ten lists, …: 10¹⁰ ways.
    let mut laughs = b"\x80\x02".to_vec();
    laughs.extend_from_slice(&good);
    laughs.extend_from_slice(b"q\x00");
    for level in 1..=10_u8 {
        laughs.extend_from_slice(b"0](");
        laughs.extend([b'h', level - 1].repeat(10));
        laughs.extend_from_slice(&[b'e', b'q', level]);
    }
    laughs.push(b'.');
    cases.wrong("bomb of ways", torch(&laughs), "more than 65536 tensors");
    // Twenty lists that all contain all, and one tensor: more ways than could be tried.
    let mut web = b"\x80\x02".to_vec();
    for list in 0..20_u8 {
        web.extend_from_slice(&[b']', b'q', list, b'0']);
    }
    for list in 0..20_u8 {
        web.extend_from_slice(&[b'h', list, b'(']);
        for other in 0..20_u8 {
            web.extend_from_slice(&[b'h', other]);
        }
        if list == 19 {
            web.extend_from_slice(&good);
        }
        web.extend_from_slice(b"e0");
    }
    web.extend_from_slice(b"h\x00.");
    cases.wrong("bomb of a web", torch(&web), "more than 65536 tensors");
    circles(cases, &good);
    // A pickle of 64 MiB in 64 kB.
    let zeros = [b"\x80\x02".to_vec(), b"N0".repeat(32 << 20), b"}.".to_vec()].concat();
    let parts = [Part::deflated("data.pkl", &zeros)];
    cases.wrong(
        "compressed bomb",
        archive(&parts, |_| {}),
        "it has no tensors",
    );
    cases.decoded(zeros.len());
    // What is beside the weights may be large.
    let list = [
        b"](".to_vec(),
        b"G\0\0\0\0\0\0\0\0".repeat(1000),
        b"e".to_vec(),
    ]
    .concat();
    let lists = [b"(".to_vec(), list.repeat(1_000), b"l".to_vec()].concat();
    let beside = dictionary(&[("history", lists), ("a", good.clone())]);
    cases.right("long history", torch(&beside), 2);
    let dictionaries = [
        b"](".to_vec(),
        b"}\x94(\x8c\x04loss\x94K\x01\x8c\x02lr\x94K\x02u".repeat(1_000),
        b"e".to_vec(),
    ]
    .concat();
    let beside = dictionary(&[
        (
            "history",
            [b"(".to_vec(), dictionaries.repeat(300), b"l".to_vec()].concat(),
        ),
        ("a", good),
    ]);
    cases.right("history of dictionaries", torch(&beside), 2);
}

/// Few objects that refer to each other very often.
fn circles(cases: &mut Cases, good: &[u8]) {
    const MANY: usize = 100_000;
    let web = |good: &[u8], second: &[u8]| {
        let start = b"\x80\x02]q\x000]q\x010h\x00(".to_vec();
        let first = b"h\x01".repeat(MANY);
        let rest = b"h\x00".repeat(MANY);
        torch(
            &[
                &start,
                good,
                &first,
                b"e0h\x01(",
                &rest,
                second,
                b"e0h\x00.",
            ]
            .concat(),
        )
    };
    // A list that contains another one many times, which contains the first one many times.
    cases.wrong(
        "bomb of a circle",
        web(good, b""),
        "more than 65536 tensors",
    );
    // As many objects in the second list as lead to no tensor.
    let empty = b"]".repeat(MANY);
    cases.wrong(
        "bomb of empty lists",
        web(good, &empty),
        "more than 65536 tensors",
    );

    // One long name many times, on the way to a tensor.
    let mut chain = [b"\x80\x02".to_vec(), text(&"x".repeat(60_000))].concat();
    chain.extend_from_slice(b"q\x000");
    chain.extend(b"}h\x00".repeat(20_000));
    chain.extend_from_slice(good);
    chain.extend(b"s".repeat(20_000));
    chain.push(b'.');
    cases.wrong("bomb of a long name", torch(&chain), "names are too long");

    // A tensor a million times in one dictionary.
    let mut same = [b"\x80\x02".to_vec(), good.to_vec(), b"q\x000}".to_vec()].concat();
    for _ in 0..3 {
        same.push(b'(');
        same.extend(b"Nh\x00".repeat(400_000));
        same.push(b'u');
    }
    same.push(b'.');
    cases.wrong("bomb of one tensor", torch(&same), "");
}
