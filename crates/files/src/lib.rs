//! Files from outside and files of ours: read within bounds, named so that a terminal shows the name and
//! nothing else, and written whole or not at all.
//!
//! - [`read`], [`read_text`] and [`open`] accept regular files only: reading a named pipe or a device
//!   could take forever.
//! - [`elements`] multiplies sizes that a file claims without overflow.
//! - [`quoted`], [`quoted_path`] and [`visible`] show text from outside; [`unknown`] says which name was
//!   probably meant, [`listed`] shows the beginning of a long list. [`hexadecimal`] shows hashes.
//! - [`write_bytes`], [`write_whole`] and [`link`] write: a reader sees either the old or the new content,
//!   even if the process or the machine stops during the write.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("report.json");
//! finetune_files::write_bytes(&path, b"{}")?;
//! let size = finetune_files::write_whole(&path, |temporary| std::fs::write(temporary, b"[1, 2]"))?;
//! assert_eq!((size, finetune_files::read(&path, 100)?), (6, b"[1, 2]".to_vec()));
//! assert_eq!(finetune_files::read(&path, 5).unwrap_err().to_string(), "it is larger than 5 bytes");
//! assert_eq!(finetune_files::quoted("cats\u{1b}[31m "), r"`cats\x1b[31m `");
//! # Ok::<(), std::io::Error>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod read;
mod show;
mod whole;

pub use read::{elements, open, read, read_text};
pub use show::{
    and_more, hexadecimal, listed, meant, nearest, quoted, quoted_path, shortened, unknown, visible,
};
pub use whole::{link, write_bytes, write_whole};
