//! From the name of a weights file to a file on this machine: a path, or `hf:…` on the Hugging
//! Face Hub.

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::error::Usage;

/// A file on the Hugging Face Hub: `hf:OWNER/NAME[@REVISION][/FILE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// Whose repository.
    pub owner: String,
    /// The repository.
    pub name: String,
    /// Branch, tag or commit.
    pub revision: String,
    /// Path in the repository.
    pub file: String,
}

impl HubFile {
    /// Parses what follows `hf:`. The revision is `main` and the file `model.safetensors` unless
    /// they are named.
    ///
    /// # Errors
    ///
    /// [`Usage`] where owner or name are missing.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '/');
        let (owner, name) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let file = parts.next().unwrap_or("model.safetensors");
        let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
        if [owner, name, revision, file]
            .iter()
            .any(|part| part.is_empty())
        {
            bail!(Usage(format!(
                "`hf:{text}` names no file on the Hub; write hf:OWNER/NAME[@REVISION][/FILE]"
            )));
        }
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            revision: revision.to_owned(),
            file: file.to_owned(),
        })
    }
}

/// The file that `name` stands for, fetched from the Hub where it is not in its cache yet.
///
/// # Errors
///
/// A file that is not there and cannot be fetched, or that has another SHA-256.
pub fn locate(name: &str, sha256: Option<&str>) -> Result<PathBuf> {
    let path = match name.strip_prefix("hf:") {
        Some(rest) => fetch(&HubFile::parse(rest)?)?,
        None => PathBuf::from(name),
    };
    if let Some(wanted) = sha256 {
        let found = hash(&path)?;
        if !found.eq_ignore_ascii_case(wanted.trim()) {
            bail!(
                "{} has the SHA-256 {found}, not {wanted}; it is another file or damaged",
                path.display()
            );
        }
    }
    Ok(path)
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
///
/// Where it cannot be read.
pub fn hash(path: &Path) -> Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = std::fs::File::open(path).with_context(cannot)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer).with_context(cannot)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(hasher
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
            text
        }))
}

/// The Hub's own cache and environment variables hold: `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`,
/// `HF_TOKEN`, and `HF_HUB_OFFLINE=1` for the cache alone.
#[cfg(feature = "hub")]
fn fetch(wanted: &HubFile) -> Result<PathBuf> {
    let HubFile {
        owner,
        name,
        revision,
        file,
    } = wanted;
    let offline = std::env::var_os("HF_HUB_OFFLINE").is_some_and(|value| value == "1");
    let client = hf_hub::HFClient::builder()
        .retry_max_attempts(2)
        .build_sync()
        .context("cannot set up the connection to the Hub")?;
    client
        .model(owner.clone(), name.clone())
        .download_file()
        .filename(file.clone())
        .revision(revision.clone())
        .local_files_only(offline)
        .send()
        .with_context(|| {
            format!(
                "cannot get `{file}` of {owner}/{name} (revision {revision}) from the Hub; download \
                 it by other means and give its path with --weights FILE"
            )
        })
}

#[cfg(not(feature = "hub"))]
fn fetch(wanted: &HubFile) -> Result<PathBuf> {
    bail!(Usage(format!(
        "this program was built without the Hub; build it with `--features hub` (`cargo xtask …` \
         does where it sees hf:), or download `{}` of {}/{} and give its path with --weights FILE",
        wanted.file, wanted.owner, wanted.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_hub_are_taken_apart() {
        let parse =
            |text| HubFile::parse(text).map(|f| [f.owner, f.name, f.revision, f.file].join(" "));
        assert_eq!(
            parse("timm/resnet18.a1_in1k").unwrap(),
            "timm resnet18.a1_in1k main model.safetensors"
        );
        assert_eq!(
            parse("me/mine@v2/folder/a.pth").unwrap(),
            "me mine v2 folder/a.pth"
        );
        for wrong in ["", "timm", "timm/", "/resnet18", "timm/resnet18@", "a/b/"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("hf:OWNER/NAME"), "{error}");
        }
    }

    #[test]
    fn a_wrong_hash_is_told() {
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
}
