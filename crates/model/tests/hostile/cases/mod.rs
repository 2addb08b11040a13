//! The files: what each is, and what reading it must say.

mod archives;
mod bombs;
mod formats;
mod headers;
mod old;
mod pickles;
mod tensors;

use super::build::{dictionary, storage, tensor, torch};

/// A file and what reading it gives.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
    /// Bytes of what is decompressed.
    pub(crate) decoded: usize,
    /// How many values it has; `None` if it is an error.
    pub(crate) values: Option<usize>,
    /// What the error says.
    pub(crate) reason: &'static str,
}

/// The bytes of a file.
pub(crate) enum Bytes {
    Whole(Vec<u8>),
    /// A file of PyTorch whose pickle repeats a part so many times: made when it is needed, because it
    /// is large.
    Repeated(Vec<u8>, usize),
}

impl Bytes {
    pub(crate) fn make(&self) -> Vec<u8> {
        match self {
            Self::Whole(bytes) => bytes.clone(),
            Self::Repeated(part, count) => {
                torch(&[b"\x80\x04".to_vec(), part.repeat(*count), b".".to_vec()].concat())
            }
        }
    }
}

struct Cases(Vec<Case>);

impl Cases {
    fn bomb(&mut self, name: &str, part: &[u8], count: usize, reason: &'static str) {
        self.wrong(&format!("bomb of {name}"), Vec::new(), reason);
        if let Some(case) = self.0.last_mut() {
            case.bytes = Bytes::Repeated(part.to_vec(), count);
        }
    }

    fn wrong(&mut self, name: &str, bytes: Vec<u8>, reason: &'static str) {
        self.0.push(Case {
            name: name.to_owned(),
            bytes: Bytes::Whole(bytes),
            decoded: 0,
            values: None,
            reason,
        });
    }

    fn right(&mut self, name: &str, bytes: Vec<u8>, values: usize) {
        self.0.push(Case {
            name: name.to_owned(),
            bytes: Bytes::Whole(bytes),
            decoded: 0,
            values: Some(values),
            reason: "",
        });
    }

    fn decoded(&mut self, bytes: usize) {
        if let Some(case) = self.0.last_mut() {
            case.decoded = bytes;
        }
    }
}

pub(crate) fn all() -> Vec<Case> {
    let mut cases = Cases(Vec::new());
    headers::add(&mut cases);
    formats::add(&mut cases);
    archives::add(&mut cases);
    tensors::add(&mut cases);
    pickles::add(&mut cases);
    bombs::add(&mut cases);
    old::add(&mut cases);
    cases.0
}

/// Changes bytes of a file.
trait Replaced {
    fn replaced(self, old: &[u8], new: &[u8]) -> Self;
}

impl Replaced for Vec<u8> {
    fn replaced(mut self, old: &[u8], new: &[u8]) -> Self {
        let place = self
            .windows(old.len())
            .position(|part| part == old)
            .unwrap();
        self.splice(place..place + old.len(), new.iter().copied());
        self
    }
}

/// A good pickle: two values.
fn good() -> Vec<u8> {
    dictionary(&[("a", tensor(&storage("0", 16), 0, &[2], &[1]))])
}
