//! Zip archives.

use super::super::build::{Part, archive, dictionary, storage, tensor};
use super::{Cases, good};

#[allow(clippy::too_many_lines)] // a table
pub(super) fn add(cases: &mut Cases) {
    let parts = [
        Part::stored("a/data.pkl", &good()),
        Part::stored("a/data/0", &[0; 64]),
    ];
    let whole = archive(&parts, |_| {});
    cases.right("archive", whole.clone(), 2);
    for cut in [1, 10, 30, 60, 100, 200, whole.len() - 22, whole.len() - 1] {
        cases.wrong(&format!("archive of {cut}"), whole[..cut].to_vec(), "");
    }
    // A comment as long as possible, and one that looks like an end record.
    cases.right(
        "comment",
        archive(&parts, |end| end.comment = vec![b'x'; 65_535]),
        2,
    );
    let fake = [b"PK\x05\x06".to_vec(), vec![0; 100]].concat();
    cases.right(
        "comment like an end",
        archive(&parts, |end| end.comment = fake),
        2,
    );
    cases.right(
        "bytes before",
        [b"PK\x03\x04 something before".to_vec(), whole.clone()].concat(),
        2,
    );
    cases.wrong(
        "more files",
        archive(&parts, |end| end.count = 3),
        "its directory is damaged",
    );
    cases.wrong(
        "65535 files",
        archive(&parts, |end| end.count = 0xffff),
        "its directory is damaged",
    );
    cases.wrong(
        "long directory",
        archive(&parts, |end| end.length = u32::MAX - 1),
        "its directory is damaged",
    );
    cases.wrong(
        "directory far away",
        archive(&parts, |end| end.offset = u32::MAX - 1),
        "its directory is damaged",
    );
    cases.wrong(
        "no directory",
        archive(&parts, |end| end.length = 0),
        "its directory is damaged",
    );
    let changed = |change: &dyn Fn(&mut Part)| {
        let mut parts = parts.clone();
        change(&mut parts[1]);
        archive(&parts, |_| {})
    };
    cases.wrong("encrypted", changed(&|part| part.flags = 1), "is encrypted");
    cases.wrong(
        "method",
        changed(&|part| part.method = 99),
        "by the method 99",
    );
    cases.wrong(
        "header outside",
        changed(&|part| part.header = Some(1 << 31)),
        "is outside of the file",
    );
    cases.wrong(
        "header elsewhere",
        changed(&|part| part.header = Some(3)),
        "is outside of the file",
    );
    cases.wrong(
        "longer than the file",
        changed(&|part| part.sizes = Some((1 << 31, 1 << 31))),
        "is outside of the file",
    );
    cases.wrong(
        "two sizes",
        changed(&|part| part.sizes = Some((64, 1 << 31))),
        "has two sizes",
    );
    cases.wrong(
        "64-bit sizes without any",
        changed(&|part| part.sizes = Some((u32::MAX, u32::MAX))),
        "its directory is damaged",
    );
    cases.wrong(
        "shorter storage",
        changed(&|part| part.sizes = Some((4, 4))),
        "its tensor `a`: its numbers are missing",
    );
    cases.wrong(
        "no storage",
        changed(&|part| "a/data/1".clone_into(&mut part.name)),
        "its tensor `a`: its numbers are missing",
    );
    cases.wrong(
        "name that paints",
        archive(&[Part::stored("\u{1b}[31m.pth", b"")], |_| {}),
        r"`\x1b[31m.pth`",
    );
    let many: Vec<_> = (0..65_000)
        .map(|index| Part::stored(&format!("a/{index}"), b""))
        .collect();
    cases.wrong("many files", archive(&many, |_| {}), "without data.pkl");
    // 16 million numbers in a few kilobytes, of which two are used, or all.
    let zeros = vec![0; 64 << 20];
    for (name, count) in [("two of a bomb", 2), ("all of a bomb", 16 << 20)] {
        let tensor = tensor(&storage("0", 16 << 20), 0, &[count], &[1]);
        let parts = [
            Part::stored("data.pkl", &dictionary(&[("a", tensor)])),
            Part::deflated("data/0", &zeros),
        ];
        cases.right(
            name,
            archive(&parts, |_| {}),
            usize::try_from(count).unwrap(),
        );
        cases.decoded(zeros.len());
    }
    let parts = [Part::stored("data.pkl", &good()), {
        let mut part = Part::deflated("data/0", &[0; 4]);
        part.sizes = part.sizes.map(|(packed, _)| (packed, 1 << 31));
        part
    }];
    cases.wrong(
        "compressed less than it says",
        archive(&parts, |_| {}),
        "its numbers are missing",
    );
}
