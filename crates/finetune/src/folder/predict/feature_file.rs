//! Features of images in a safetensors file, as many as there are.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The most bytes of a safetensors header that readers accept.
const LARGEST_HEADER: u64 = 100_000_000;

/// A safetensors file with the tensor `features`, `[images, width]`, and in its metadata under `paths` a
/// JSON list of their names.
///
/// Until it is [finished](Self::finish), values and names are in files without a name: nothing is left of
/// them if the process ends, and a file of an earlier call stays as it is.
#[derive(Debug)]
pub struct FeatureFile {
    path: PathBuf,
    run: String,
    values: BufWriter<File>,
    /// The names as they are written into the header.
    names: BufWriter<File>,
    names_bytes: u64,
    images: usize,
    width: Option<usize>,
}

impl FeatureFile {
    /// Begins a file for the features of a run.
    ///
    /// # Errors
    ///
    /// There is a folder at `path`, or its folder cannot be written.
    pub fn create(path: &Path, run: &str) -> Result<Self, Error> {
        if path.is_dir() {
            let path = finetune_files::quoted_path(path);
            return Err(Error::Usage(format!(
                "{path} is a folder; name the file to write"
            )));
        }
        let folder = path.parent().filter(|one| !one.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let spool = || {
            let file = tempfile::tempfile_in(folder);
            file.map(BufWriter::new).map_err(Error::io("write", path))
        };
        Ok(Self {
            path: path.to_owned(),
            run: run.to_owned(),
            values: spool()?,
            names: spool()?,
            names_bytes: 0,
            images: 0,
            width: None,
        })
    }

    /// Adds the features of an image.
    ///
    /// # Errors
    ///
    /// The disk is full, or there are too many names for a safetensors header.
    ///
    /// # Panics
    ///
    /// They are more or fewer than those of the images before.
    pub fn push(&mut self, image: &Path, features: &[f32]) -> Result<(), Error> {
        let width = *self.width.get_or_insert(features.len());
        assert_eq!(width, features.len(), "features of one network");
        let bytes: Vec<u8> = features.iter().flat_map(|one| one.to_le_bytes()).collect();
        // A string within a string.
        let name = serde_json::to_string(&image.to_string_lossy())?;
        let name = serde_json::to_string(&name)?;
        let comma = if self.images > 0 { "," } else { "" };
        let name = format!("{comma}{}", &name[1..name.len() - 1]);
        self.names_bytes += name.len() as u64;
        if self.names_bytes > LARGEST_HEADER - (1 << 20) {
            return Err(Error::Usage(format!(
                "{} images have too long paths for one safetensors file; save the features of fewer",
                self.images + 1
            )));
        }
        let written = self.values.write_all(&bytes);
        written
            .and_then(|()| self.names.write_all(name.as_bytes()))
            .map_err(Error::io("write", &self.path))?;
        self.images += 1;
        Ok(())
    }

    /// Writes the file, whole or not at all. Returns its size in bytes.
    ///
    /// # Errors
    ///
    /// The disk is full.
    pub fn finish(self) -> Result<u64, Error> {
        let width = self.width.unwrap_or(0);
        let length = 4 * self.images * width;
        let run = serde_json::to_string(&self.run)?;
        let before = format!(r#"{{"__metadata__":{{"format":"pt","run":{run},"paths":"["#);
        let after = format!(
            r#"]"}},"features":{{"dtype":"F32","shape":[{},{width}],"data_offsets":[0,{length}]}}}}"#,
            self.images
        );
        let unpadded = (before.len() + after.len()) as u64 + self.names_bytes;
        let header = unpadded.next_multiple_of(8);
        let padding = usize::try_from(header - unpadded).unwrap_or(0);
        let path = self.path;
        let (values, names) = (self.values, self.names);
        let write = |temporary: &Path| {
            let mut file = BufWriter::new(File::create(temporary)?);
            file.write_all(&header.to_le_bytes())?;
            file.write_all(before.as_bytes())?;
            std::io::copy(&mut read(names)?, &mut file)?;
            file.write_all(after.as_bytes())?;
            file.write_all(&b"       "[..padding])?;
            std::io::copy(&mut read(values)?, &mut file)?;
            file.flush()
        };
        finetune_files::write_whole(&path, write).map_err(Error::io("write", &path))
    }
}

/// What was written, from its beginning.
fn read(written: BufWriter<File>) -> std::io::Result<impl Read> {
    let mut file = written
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(BufReader::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_and_paths_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("features.safetensors");
        for images in [0, 1, 5] {
            let mut file = FeatureFile::create(&path, "`sft` of \"a\"").unwrap();
            let names: Vec<String> = (0..images)
                .map(|one| format!("a \"{one}\"\\\n.png"))
                .collect();
            for (name, index) in names.iter().zip(0_u8..) {
                let features = [f32::from(index), 0.5, -1.0];
                file.push(Path::new(name), &features).unwrap();
            }
            let bytes = file.finish().unwrap();
            assert_eq!(bytes, path.metadata().unwrap().len());
            let read = std::fs::read(&path).unwrap();
            let tensors = safetensors::SafeTensors::deserialize(&read).unwrap();
            let features = tensors.tensor("features").unwrap();
            let width = if images == 0 { 0 } else { 3 };
            assert_eq!(features.shape(), [images, width]);
            let wanted: Vec<u8> = (0..images)
                .flat_map(|index| [f32::from(u8::try_from(index).unwrap()), 0.5, -1.0])
                .flat_map(f32::to_le_bytes)
                .collect();
            assert_eq!(features.data(), wanted);
            let (_, metadata) = safetensors::SafeTensors::read_metadata(&read).unwrap();
            let metadata = metadata.metadata().clone().unwrap();
            let paths: Vec<String> = serde_json::from_str(&metadata["paths"]).unwrap();
            assert_eq!((paths, metadata["run"].as_str()), (names, "`sft` of \"a\""));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_noticed_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        let error = FeatureFile::create(folder.path(), "a").unwrap_err();
        assert!(error.to_string().contains("is a folder"), "{error}");
        let error = FeatureFile::create(&folder.path().join("none/a"), "a").unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
    }
}
