//! Reading files from outside.

use std::fs::{File, FileType, Metadata};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// Opens a regular file for reading; links are followed. Returns its size in bytes as well.
///
/// # Errors
///
/// If the file cannot be opened, or is a folder, a named pipe, a socket or a device, which may never
/// end.
pub fn open(path: &Path) -> Result<(File, u64)> {
    // Before it is opened: opening a named pipe waits for a writer.
    regular(&std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    Ok((file, metadata.len()))
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
///
/// Those of [`open`], and if the file is larger than `limit`.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, size) = open(path)?;
    let too_large = || {
        Error::new(
            ErrorKind::FileTooLarge,
            format!("it is larger than {limit} bytes"),
        )
    };
    if size > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // A file may grow, and the files of /proc claim to be empty.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Reads a regular file of at most `limit` bytes of UTF-8 text. A byte order mark at its start is left
/// out.
///
/// # Errors
///
/// Those of [`read`], and if the file is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    let mut bytes = read(path, limit)?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::new(
            ErrorKind::InvalidData,
            format!("it is not UTF-8 text, at byte {at}"),
        )
    })
}

/// The number of elements of a shape; `None` if it is beyond what memory can hold.
///
/// ```
/// assert_eq!(finetune_files::elements(&[2, 3]), Some(6));
/// assert_eq!(finetune_files::elements(&[1 << 40, 1 << 40, 0]), None);
/// ```
#[must_use]
pub fn elements(shape: &[usize]) -> Option<usize> {
    // A length of 0 does not make the others harmless: code multiplies them on their own as well.
    let mut nonzero = shape.iter().filter(|length| **length > 0);
    let product = nonzero.try_fold(1_usize, |product, length| product.checked_mul(*length))?;
    let product = (product <= isize::MAX.unsigned_abs() / 8).then_some(product)?;
    Some(if shape.contains(&0) { 0 } else { product })
}

fn regular(metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let kind = if metadata.is_dir() {
        ErrorKind::IsADirectory
    } else {
        ErrorKind::InvalidInput
    };
    Err(Error::new(
        kind,
        format!("it is {}, not a regular file", name(metadata.file_type())),
    ))
}

#[cfg(unix)]
fn name(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn name(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn what_is_no_regular_file_is_rejected_without_being_opened() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| read(path, 10).unwrap_err().to_string();
        assert_eq!(message(folder.path()), "it is a folder, not a regular file");
        assert_eq!(
            message(Path::new("/dev/zero")),
            "it is a device, not a regular file"
        );
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(message(&socket), "it is a socket, not a regular file");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success());
        assert_eq!(message(&pipe), "it is a named pipe, not a regular file");
        assert_eq!(
            read(&folder.path().join("none"), 10).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn a_limit_holds_for_files_that_claim_to_be_empty_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(read(&path, 4).is_err());
        if cfg!(target_os = "linux") {
            assert!(read(Path::new("/proc/self/status"), 4).is_err());
        }
    }

    #[test]
    fn text_is_utf8_without_its_byte_order_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"\xef\xbb\xbf{}").unwrap();
        assert_eq!(read_text(&path, 100).unwrap(), "{}");
        std::fs::write(&path, b"ab\xff").unwrap();
        assert_eq!(
            read_text(&path, 100).unwrap_err().to_string(),
            "it is not UTF-8 text, at byte 2"
        );
    }

    #[test]
    fn a_product_of_sizes_does_not_overflow() {
        assert_eq!(elements(&[]), Some(1));
        assert_eq!(elements(&[4, 0]), Some(0));
        assert_eq!(elements(&[0, usize::MAX, 2]), None);
        assert_eq!(elements(&[usize::MAX]), None);
    }
}
