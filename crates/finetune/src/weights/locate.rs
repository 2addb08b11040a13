//! From the name of a weights file to a file on this machine.

use std::path::{Path, PathBuf};

use finetune_files::{quoted, quoted_path};

use super::hash::hash;
use super::hub::{FILES, HubFile};
use super::progress::OnProgress;
use super::published::{Published, placed_or_fetched};
use crate::error::Error;

/// The file that `name` stands for: a path, the folder of a model of Hugging Face's libraries,
/// `hf:OWNER/NAME[@REVISION][/FILE]` on the Hugging Face Hub, which is downloaded if the Hub's cache does not
/// have it, or `timm:NAME[.TAG]` for a repository of timm there. What was put into the cache folder is not
/// downloaded (see [`Published::place`]). If `sha256` is given, in hexadecimal, the file must have it.
///
/// # Errors
///
/// [`Error::Usage`] if there is no such file. The file cannot be downloaded, or it has another SHA-256.
pub fn locate(name: &str, sha256: Option<&str>) -> Result<PathBuf, Error> {
    locate_telling(name, sha256, None)
}

/// As [`locate`]; tells how far a download is.
///
/// # Errors
///
/// As [`locate`].
pub fn locate_telling(
    name: &str,
    sha256: Option<&str>,
    progress: Option<OnProgress>,
) -> Result<PathBuf, Error> {
    let path = if let Some(rest) = name.strip_prefix("hf:") {
        placed_or_fetched(&HubFile::parse(rest)?, progress)?
    } else if let Some(rest) = name.strip_prefix("timm:") {
        placed_or_fetched(&Published::timm(rest)?, progress)?
    } else {
        local(name)?
    };
    verified(path, sha256)
}

/// The file, if it has this [`hash`] or none is wanted.
///
/// # Errors
///
/// [`Error::Hash`] if it has another one, or it cannot be read.
pub fn verified(path: PathBuf, sha256: Option<&str>) -> Result<PathBuf, Error> {
    let Some(expected) = sha256 else {
        return Ok(path);
    };
    let found = hash(&path)?;
    if found.eq_ignore_ascii_case(expected.trim()) {
        return Ok(path);
    }
    Err(Error::Hash {
        path,
        found,
        expected: expected.to_owned(),
    })
}

/// A file on this machine, which must exist.
fn local(name: &str) -> Result<PathBuf, Error> {
    const SITES: [&str; 2] = ["huggingface.co/", "hf.co/"];
    let path = PathBuf::from(name);
    let lower = name.to_ascii_lowercase();
    let remote = ["http://", "https://", "ftp://", "s3://", "gs://"];
    if remote.iter().any(|scheme| lower.starts_with(scheme)) {
        let on_hub = SITES.iter().find_map(|site| name.split_once(site));
        let remedy = match on_hub.and_then(|(_, rest)| on_hub_page(rest)) {
            Some(hub) => format!("write {}, or download it and give its path", quoted(&hub)),
            None => "download it and give its path".to_owned(),
        };
        return Err(Error::Usage(format!(
            "{} is a URL, not a file; {remedy}",
            quoted(name)
        )));
    }
    if path.is_dir() {
        return in_folder(&path);
    }
    if path.symlink_metadata().is_ok() {
        return Ok(path);
    }
    let hint = if is_hub_name(name) {
        format!(
            "; for a file of the Hugging Face Hub write {}",
            quoted(&format!("hf:{name}"))
        )
    } else {
        String::new()
    };
    Err(Error::Usage(format!(
        "the weights file {} does not exist{hint}",
        quoted(name)
    )))
}

/// Whether this may be OWNER/NAME, perhaps with a file, on the Hub: no path of this machine begins so.
fn is_hub_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let is_word = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || "-_.@".contains(one))
    };
    (2..=4).contains(&parts.len()) && parts.iter().all(is_word) && !Path::new(parts[0]).exists()
}

/// What follows `huggingface.co/` in a link, as a name of the Hub: `hf:OWNER/NAME[@REVISION][/FILE]`.
fn on_hub_page(rest: &str) -> Option<String> {
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    match parts.as_slice() {
        [owner, name] => Some(format!("hf:{owner}/{name}")),
        [owner, name, "blob" | "resolve" | "raw", revision, file @ ..] if !file.is_empty() => {
            let revision = match *revision {
                "main" => String::new(),
                other => format!("@{other}"),
            };
            Some(format!("hf:{owner}/{name}{revision}/{}", file.join("/")))
        }
        _ => None,
    }
}

/// The weights file in a folder, in the order in which Hugging Face's libraries look for it.
fn in_folder(folder: &Path) -> Result<PathBuf, Error> {
    let shown = quoted_path(folder);
    if folder.join("adapter_config.json").is_file() {
        return Err(Error::Usage(format!(
            "{shown} is a folder with an adapter of HF PEFT; merge it into its base first, with \
             `finetune merge --adapter`"
        )));
    }
    let mut files = FILES.iter().map(|name| folder.join(name));
    files.find(|path| path.is_file()).ok_or_else(|| {
        Error::Usage(format!(
            "{shown} is a folder without {}; give the weights file in it",
            FILES.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_hash_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"abc").unwrap();
        // FIPS 180-4, appendix B.1.
        let abc = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
        let name = path.to_str().unwrap();
        assert_eq!(locate(name, Some(abc)).unwrap(), path);
        let error = locate(name, Some("00")).unwrap_err().to_string();
        assert!(error.contains("has the SHA-256 ba7816bf"), "{error}");
    }

    #[test]
    fn what_is_no_file_is_named_with_a_remedy() {
        let said = |name: &str| {
            let error = locate(name, None).unwrap_err();
            assert!(matches!(error, Error::Usage(_)), "{error}");
            error.to_string()
        };
        assert_eq!(
            said("timm/resnet18.a1_in1k"),
            "the weights file `timm/resnet18.a1_in1k` does not exist; for a file of the Hugging Face Hub \
             write `hf:timm/resnet18.a1_in1k`"
        );
        for path in [
            "weights.pth",
            "./a/b.pth",
            "/a/b.pth",
            "../a/b",
            "src/none.pth",
        ] {
            assert!(said(path).ends_with("does not exist"), "{path}");
        }
        let page = "https://huggingface.co/timm/resnet18.a1_in1k";
        assert!(said(page).contains("is a URL, not a file; write `hf:timm/resnet18.a1_in1k`"));
        let file = format!("{page}/resolve/v1/a/b.bin?download=true");
        assert!(said(&file).contains("write `hf:timm/resnet18.a1_in1k@v1/a/b.bin`"));
        let other = "https://download.pytorch.org/models/resnet18-f37072fd.pth";
        assert!(said(other).contains("is a URL, not a file; download it and give its path"));

        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().to_str().unwrap();
        assert!(said(name).ends_with("; give the weights file in it"));
        for file in FILES.iter().rev() {
            let path = folder.path().join(file);
            std::fs::write(&path, b"").unwrap();
            assert_eq!(locate(name, None).unwrap(), path);
        }
        std::fs::write(folder.path().join("adapter_config.json"), b"{}").unwrap();
        assert!(said(name).contains("finetune merge --adapter"));
    }
}
