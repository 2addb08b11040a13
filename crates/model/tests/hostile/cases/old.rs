//! Files of before PyTorch 1.6.

use super::super::build::{legacy, text};
use super::{Cases, Replaced, good};

pub(super) fn add(cases: &mut Cases) {
    let pickle = good();
    let keys = [b"\x80\x02]".to_vec(), text("0"), b"a.".to_vec()].concat();
    let numbers = [16_u64.to_le_bytes().to_vec(), vec![0; 64]].concat();
    let whole = legacy(&pickle, &keys, &numbers);
    cases.right("old", whole.clone(), 2);
    for cut in [
        20,
        40,
        60,
        150,
        whole.len() - 80,
        whole.len() - 10,
        whole.len() - 1,
    ] {
        cases.wrong(&format!("old of {cut}"), whole[..cut].to_vec(), "");
    }
    let other = [b"\x80\x02]".to_vec(), text("1"), b"a.".to_vec()].concat();
    cases.wrong(
        "old with another storage",
        legacy(&pickle, &other, &numbers),
        "one that no tensor has",
    );
    let none = b"\x80\x02].".to_vec();
    cases.wrong(
        "old without storages",
        legacy(&pickle, &none, &numbers),
        "its numbers are missing",
    );
    cases.wrong(
        "old with a number",
        legacy(&pickle, b"\x80\x02K\x01.", &numbers),
        "not a list of texts",
    );
    cases.wrong(
        "old with nothing",
        legacy(&pickle, b"\x80\x02](NNe.", &numbers),
        "not a list of texts",
    );
    let short = [15_u64.to_le_bytes().to_vec(), vec![0; 64]].concat();
    cases.wrong(
        "old with another length",
        legacy(&pickle, &keys, &short),
        "another size",
    );
    let huge = [u64::MAX.to_le_bytes().to_vec(), vec![0; 64]].concat();
    cases.wrong(
        "old with a huge length",
        legacy(&pickle, &keys, &huge),
        "another size",
    );
    let big = whole.clone().replaced(b"\x88s.", b"\x89s.");
    cases.wrong("old with big-endian numbers", big, "big-endian");
    let version = whole.replaced(b"M\xe9\x03.", b"M\xea\x03.");
    cases.wrong("old of another version", version, "another version");
}
