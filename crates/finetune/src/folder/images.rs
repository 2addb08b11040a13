//! Image files, looked for in folders.

use std::path::{Path, PathBuf};

use finetune_data::sources::has_image_extension;

use crate::error::Error;

/// Image files that were found, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The files.
    pub files: Vec<PathBuf>,
    /// The number of other files in the folders.
    pub others: usize,
}

/// The image files that paths stand for, in their order: a file for itself, whatever its name, and a
/// folder for the image files in it and in the folders below it, in the order of their names. Hidden
/// files and links to folders are left out.
///
/// # Errors
///
/// A folder cannot be read.
pub fn image_files(paths: &[PathBuf]) -> Result<Found, Error> {
    let mut found = Found::default();
    for path in paths {
        if path.is_dir() {
            search(path, &mut found)?;
        } else {
            found.files.push(path.clone());
        }
    }
    Ok(found)
}

fn search(folder: &Path, found: &mut Found) -> Result<(), Error> {
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        if !next.is_dir() {
            found.files.push(next);
            continue;
        }
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(&next).map_err(Error::io("read the folder", &next))? {
            let entry = entry.map_err(Error::io("read the folder", &next))?;
            let path = entry.path();
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if hidden || (path.is_symlink() && path.is_dir()) {
                continue;
            }
            if path.is_dir() || has_image_extension(&path) {
                inside.push(path);
            } else {
                found.others += 1;
            }
        }
        // The last one is taken first.
        inside.sort_unstable_by(|a, b| b.cmp(a));
        left.extend(inside);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_searched_in_the_order_of_names_and_files_are_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [
            "b/2.png",
            "b/1.JPG",
            "a.txt",
            "b/c/d/x.webp",
            ".hidden/1.png",
            "z.png",
        ] {
            std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            std::fs::write(path(name), "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path(), path("b/loop")).unwrap();
        let paths = [path("a.txt"), folder.path().to_owned(), path("none.png")];
        let found = image_files(&paths).unwrap();
        let wanted = [
            "a.txt",
            "b/1.JPG",
            "b/2.png",
            "b/c/d/x.webp",
            "z.png",
            "none.png",
        ];
        assert_eq!(found.files, wanted.map(path));
        assert_eq!(found.others, 1);
        assert_eq!(
            image_files(&[path("b/c")]).unwrap().files,
            [path("b/c/d/x.webp")]
        );
    }
}
