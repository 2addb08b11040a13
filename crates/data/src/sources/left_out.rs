//! Files and folders of a data set that are not used, and why.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use finetune_files::{and_more, quoted_path};
use serde::{Deserialize, Serialize};

/// Why a file or folder is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Why {
    /// Its name begins with a dot, or it is a folder that a system or an archiver makes (`__MACOSX`).
    Hidden,
    /// It does not have the extension of an image.
    Ending,
    /// It does not have the extension of an image, but its content is an image that could be read.
    Misnamed,
    /// It has the extension of an image format that is not supported.
    Format,
    /// It is an image next to the class folders, or a folder next to `train` and `test`.
    Place,
    /// It is a link to a folder above it.
    Loop,
    /// It is a named pipe, a socket or a device.
    Special,
    /// Its images have no labels.
    Unlabelled,
}

impl Why {
    /// The reason in words, for several files.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::Ending => "without the extension of an image",
            Self::Misnamed => "images by their content, but not by their extension",
            Self::Format => "images of a format that is not supported",
            Self::Place => "next to the folders of classes or splits, not in one",
            Self::Loop => "links to a folder above them",
            Self::Special => "named pipes, sockets or devices",
            Self::Unlabelled => "images without a label",
        }
    }
}

/// Files and folders that are left out for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Why they are left out.
    pub why: Why,
    /// How many they are.
    pub count: usize,
    /// The first of them, in the order of their paths and quoted.
    pub examples: Vec<String>,
}

impl LeftOut {
    /// "3 left out, hidden: `a`, `b` and 1 more".
    #[must_use]
    pub fn sentence(&self) -> String {
        let more = and_more(self.count.saturating_sub(self.examples.len()));
        let examples = self.examples.join(", ");
        format!(
            "{} left out, {}: {examples}{more}",
            self.count,
            self.why.reason()
        )
    }
}

/// Counts what is left out while a data set is opened.
#[derive(Debug, Default)]
pub(crate) struct Count(BTreeMap<Why, (usize, Vec<String>)>);

impl Count {
    /// How many examples of each reason are remembered.
    const EXAMPLES: usize = 3;

    pub(crate) fn add(&mut self, path: &Path, why: Why) {
        let (count, examples) = self.0.entry(why).or_default();
        *count += 1;
        if examples.len() < Self::EXAMPLES {
            examples.push(quoted_path(path));
        }
    }

    pub(crate) fn into_list(self) -> Vec<LeftOut> {
        let all = self.0.into_iter();
        all.map(|(why, (count, examples))| LeftOut {
            why,
            count,
            examples,
        })
        .collect()
    }
}

/// Extensions of image formats that are not supported.
const UNSUPPORTED: [&str; 30] = [
    "heic", "heif", "hif", "avif", "jxl", "jp2", "j2k", "jpf", "jpx", "svg", "psd", "dng", "cr2",
    "cr3", "nef", "nrw", "arw", "sr2", "orf", "rw2", "raf", "pef", "raw", "pdf", "dcm", "exr",
    "hdr", "xcf", "eps", "wmf",
];

/// Why a file without the extension of an image is left out.
pub(crate) fn why(path: &Path) -> Why {
    let extension = path.extension().unwrap_or_default();
    let mut unsupported = UNSUPPORTED.iter();
    if unsupported.any(|other| extension.eq_ignore_ascii_case(other)) {
        return Why::Format;
    }
    let mut head = Vec::new();
    let read =
        finetune_files::open(path).and_then(|(file, _)| file.take(32).read_to_end(&mut head));
    let known =
        read.is_ok() && image::guess_format(&head).is_ok_and(|format| format.reading_enabled());
    if known { Why::Misnamed } else { Why::Ending }
}
