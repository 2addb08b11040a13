//! Paths of images: what files, folders, patterns, manifests and lists stand for, one after the other.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use finetune_data::sources::{ManifestPaths, has_image_extension, is_manifest};

use super::pattern::{Partly, Pattern};
use crate::error::Error;

/// The most bytes of a path in a list.
const LONGEST: u64 = 1 << 16;

/// A path of an image, or what cannot be read instead of one.
pub type Input = Result<PathBuf, BadInput>;

/// Something among paths of images that stands for no image.
#[derive(Debug)]
pub struct BadInput {
    /// What it is called.
    pub path: PathBuf,
    /// Why it stands for none.
    pub error: Box<Error>,
}

impl BadInput {
    fn new(path: PathBuf, error: impl Into<Error>) -> Self {
        let error = Box::new(error.into());
        Self { path, error }
    }
}

/// A list of paths that is read as they are needed.
pub struct PathList {
    /// Where it comes from.
    pub reader: Box<dyn BufRead + Send>,
    /// What it is called in messages.
    pub name: String,
    /// Whether a zero byte follows each path instead of a line break.
    pub null: bool,
}

/// The images that paths stand for, in the order of the paths. No more is read ahead than one folder.
///
/// - A folder stands for the image files in it and in the folders below it, in the order of their names.
///   Hidden files and links to folders are left out.
/// - A manifest stands for the files that it names.
/// - A name with wildcards (`*`, `?`, `[a-z]`, and `**` for any folders) that is not the name of a file
///   stands for the files and folders that fit it; with `**`, for the files alone. If it ends in `*`, other
///   files than images are left out.
/// - `-` stands for the paths of the list, which are files or folders.
/// - Any other path stands for itself, whatever its name.
pub struct ImagePaths {
    /// What comes next is at the end.
    open: Vec<Open>,
    list: Option<PathList>,
    others: usize,
    matched: usize,
}

/// What has not been looked at, or not to its end.
enum Open {
    /// A path that somebody typed.
    Typed(PathBuf),
    /// A file or folder.
    Found(PathBuf),
    /// A folder, and a pattern for what is in it.
    Within(PathBuf, Partly),
    /// What fits a pattern, and whether only images are wanted.
    Fitting(PathBuf, bool),
    /// The end of a pattern: what it was, and how many paths had fitted before it.
    Matched(PathBuf, usize),
    Manifest(PathBuf, Box<ManifestPaths>),
    List(PathList),
}

impl std::fmt::Debug for ImagePaths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImagePaths")
            .field("open", &self.open.len())
            .field("others", &self.others)
            .finish_non_exhaustive()
    }
}

impl ImagePaths {
    /// The images that these paths stand for; `list` is what `-` stands for.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>, list: Option<PathList>) -> Self {
        Self {
            open: paths.into_iter().rev().map(Open::Typed).collect(),
            list,
            others: 0,
            matched: 0,
        }
    }

    /// How many files in folders were left out so far, because their names are not those of images.
    #[must_use]
    pub fn others(&self) -> usize {
        self.others
    }

    fn typed(&mut self, path: PathBuf) -> Option<Input> {
        if path == Path::new("-")
            && let Some(list) = self.list.take()
        {
            self.open.push(Open::List(list));
            return None;
        }
        if path.symlink_metadata().is_ok() {
            return self.existing(path);
        }
        let Some((start, pattern)) = Pattern::of(&path) else {
            return Some(Ok(path));
        };
        self.open.push(Open::Matched(path, self.matched));
        self.open.push(Open::Within(start, pattern.begun()));
        None
    }

    fn existing(&mut self, path: PathBuf) -> Option<Input> {
        if !(is_manifest(&path) && path.is_file()) {
            return self.found(path);
        }
        match ManifestPaths::open(&path) {
            Ok(rows) => self.open.push(Open::Manifest(path, Box::new(rows))),
            Err(error) => return Some(bad(path, error)),
        }
        None
    }

    /// What fits a pattern within a folder.
    fn within(&mut self, folder: PathBuf, pattern: &Partly) -> Option<Input> {
        if !folder.as_os_str().is_empty() && !folder.is_dir() {
            return None;
        }
        let names = match names(&folder) {
            Ok(names) => names,
            Err(error) => return Some(bad(folder, error)),
        };
        for name in names.into_iter().rev() {
            let path = folder.join(&name);
            let pattern = pattern.after(&name.to_string_lossy(), path.is_symlink());
            if path.is_dir() && pattern.goes_on() {
                self.open.push(Open::Within(path.clone(), pattern.clone()));
            }
            if pattern.is_complete() && !(pattern.is_deep() && path.is_dir()) {
                self.open.push(Open::Fitting(path, pattern.wants_images()));
            }
        }
        None
    }

    /// A file or folder that fits a pattern, which may leave open what kind of file is wanted.
    fn fitting(&mut self, path: PathBuf, images: bool) -> Option<Input> {
        if images && !path.is_dir() && !has_image_extension(&path) {
            self.others += 1;
            return None;
        }
        self.matched += 1;
        self.existing(path)
    }

    fn found(&mut self, path: PathBuf) -> Option<Input> {
        if !path.is_dir() {
            return Some(Ok(path));
        }
        let names = match names(&path) {
            Ok(names) => names,
            Err(error) => return Some(bad(path, error)),
        };
        for name in names.into_iter().rev() {
            let hidden = name.as_encoded_bytes().starts_with(b".");
            let path = path.join(name);
            if hidden || (path.is_symlink() && path.is_dir()) {
                continue;
            }
            if path.is_dir() || has_image_extension(&path) {
                self.open.push(Open::Found(path));
            } else {
                self.others += 1;
            }
        }
        None
    }
}

impl Iterator for ImagePaths {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        loop {
            let found = match self.open.pop()? {
                Open::Typed(path) => self.typed(path),
                Open::Found(path) => self.found(path),
                Open::Within(folder, pattern) => self.within(folder, &pattern),
                Open::Fitting(path, images) => self.fitting(path, images),
                Open::Matched(path, before) if before == self.matched => {
                    let pattern = path.clone();
                    Some(bad(path, Error::NoMatch { pattern }))
                }
                Open::Matched(..) => None,
                Open::Manifest(path, mut rows) => match rows.next() {
                    None => None,
                    Some(row) => {
                        self.open.push(Open::Manifest(path.clone(), rows));
                        Some(row.map_err(|error| BadInput::new(path, error)))
                    }
                },
                Open::List(mut list) => match list.next() {
                    None => None,
                    Some(next) => {
                        let failed = next.is_err();
                        if !failed {
                            self.open.push(Open::List(list));
                        }
                        match next {
                            Ok(path) => self.found(path),
                            Err(bad) => Some(Err(bad)),
                        }
                    }
                },
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

impl PathList {
    /// The next path that is not empty.
    fn next(&mut self) -> Option<Input> {
        let end = if self.null { 0 } else { b'\n' };
        loop {
            let mut bytes = Vec::new();
            let mut limited = self.reader.by_ref().take(LONGEST);
            let reason = match limited.read_until(end, &mut bytes) {
                Ok(0) => return None,
                Ok(_) if bytes.last() == Some(&end) => {
                    bytes.pop();
                    None
                }
                Ok(_) if bytes.len() as u64 == LONGEST => Some(std::io::Error::other(format!(
                    "a path has {LONGEST} bytes or more; separate them by {}",
                    if self.null {
                        "zero bytes, or leave out --null"
                    } else {
                        "line breaks, or by zero bytes with --null"
                    }
                ))),
                Ok(_) => None,
                Err(error) => Some(error),
            };
            if let Some(reason) = reason {
                let path = PathBuf::from(&self.name);
                let error = Error::io("read", &path)(reason);
                return Some(Err(BadInput::new(path, error)));
            }
            if !self.null && bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
            if bytes.is_empty() {
                continue;
            }
            return Some(path(bytes).map_err(|name| {
                let path = PathBuf::from(name);
                let reason = std::io::Error::other("its name is not UTF-8");
                let error = Error::io("read", &path)(reason);
                BadInput::new(path, error)
            }));
        }
    }
}

/// The path that bytes are; on systems where they are none, its name for messages.
#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)] // as on other systems
fn path(bytes: Vec<u8>) -> Result<PathBuf, String> {
    use std::os::unix::ffi::OsStringExt;
    Ok(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path(bytes: Vec<u8>) -> Result<PathBuf, String> {
    let text = String::from_utf8(bytes);
    let shown =
        |error: std::string::FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
    text.map(PathBuf::from).map_err(shown)
}

/// The names in a folder, sorted; without a path, in the current one.
fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>, Error> {
    let at = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let cannot = || Error::io("read the folder", at);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(at).map_err(cannot())? {
        names.push(entry.map_err(cannot())?.file_name());
    }
    names.sort_unstable();
    Ok(names)
}

fn bad(path: PathBuf, error: impl Into<Error>) -> Input {
    Err(BadInput::new(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files, and what paths in it stand for: their names, or errors.
    fn found(files: &[&str], paths: &[&str], list: Option<(&'static [u8], bool)>) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in files {
            std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            let text = if is_manifest(Path::new(name)) {
                "path\nb/1.JPG\nnone.png\n"
            } else {
                ""
            };
            std::fs::write(path(name), text).unwrap();
        }
        #[cfg(unix)]
        if path("b").is_dir() {
            std::os::unix::fs::symlink(folder.path(), path("b/loop")).unwrap();
        }
        let typed = |name: &&str| match *name {
            "-" => PathBuf::from("-"),
            name => path(name),
        };
        let list = list.map(|(bytes, null)| PathList {
            reader: Box::new(bytes),
            name: "the list".to_owned(),
            null,
        });
        let all = ImagePaths::new(paths.iter().map(typed).collect(), list);
        let short = |input: Input| match input {
            Ok(path) => path
                .strip_prefix(folder.path())
                .unwrap_or(&path)
                .display()
                .to_string(),
            Err(bad) => format!("error: {}", bad.error),
        };
        all.map(short).collect()
    }

    const FILES: [&str; 9] = [
        "b/2.png",
        "b/1.JPG",
        "a.txt",
        "b/c/d/x.webp",
        "b/c/e.webp",
        ".hidden/1.png",
        "z.png",
        "z[1].png",
        "list.csv",
    ];

    #[test]
    fn folders_are_searched_in_the_order_of_names_and_files_are_taken_as_they_are() {
        assert_eq!(
            found(&FILES, &["a.txt", "", "none.png", "b/c"], None),
            [
                "a.txt",
                "b/1.JPG",
                "b/2.png",
                "b/c/d/x.webp",
                "b/c/e.webp",
                "z.png",
                "z[1].png",
                "none.png",
                "b/c/d/x.webp",
                "b/c/e.webp"
            ]
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "").unwrap();
        std::fs::write(folder.path().join("a.png"), "").unwrap();
        let mut paths = ImagePaths::new(vec![folder.path().to_owned()], None);
        assert_eq!((paths.by_ref().count(), paths.others()), (1, 1));
    }

    #[test]
    fn patterns_stand_for_what_fits_them_unless_a_file_has_the_name() {
        assert_eq!(found(&FILES, &["z*.png"], None), ["z.png", "z[1].png"]);
        assert_eq!(found(&FILES, &["z[1].png"], None), ["z[1].png"]);
        assert_eq!(found(&FILES, &["b/[0-9].*"], None), ["b/1.JPG", "b/2.png"]);
        assert_eq!(
            found(&FILES, &["**/*.webp"], None),
            ["b/c/d/x.webp", "b/c/e.webp"]
        );
        assert_eq!(found(&FILES, &["**/d/*"], None), ["b/c/d/x.webp"]);
        // Each file once, although folders fit as well; links to folders are not followed.
        let all = found(&FILES, &["**"], None);
        assert_eq!(all, found(&FILES, &[""], None));
        assert_eq!(all.len(), 6);
        assert_eq!(found(&FILES, &["**/*"], None), all);
        assert_eq!(found(&FILES, &["**/**/*.*"], None), all);
        assert_eq!(found(&FILES, &["*"], None), all);
        // A folder that fits is searched, and a manifest is read.
        assert_eq!(
            found(&FILES, &["?/c", "*.csv"], None),
            ["b/c/d/x.webp", "b/c/e.webp", "b/1.JPG", "none.png"]
        );
        let none = found(&FILES, &["b/*.gif", "b/2.png"], None);
        assert!(
            none[0].starts_with("error: no file fits") && none[0].contains("b/*.gif"),
            "{none:?}"
        );
        assert_eq!(none[1], "b/2.png");
    }

    #[test]
    fn lists_and_manifests_are_read_where_they_stand() {
        let lines = Some((&b"x y.png\r\n\n  z\nlast"[..], false));
        assert_eq!(
            found(&FILES, &["z.png", "-", "list.csv"], lines),
            ["z.png", "x y.png", "  z", "last", "b/1.JPG", "none.png"]
        );
        let zeros = Some((&b"x\ny.png\0\0-\0"[..], true));
        assert_eq!(found(&[], &["-"], zeros), ["x\ny.png", "-"]);
        // Without a list, and a second time, it is a file.
        assert_eq!(found(&[], &["-"], None), ["-"]);
        assert_eq!(found(&[], &["-", "-"], Some((b"a", true))), ["a", "-"]);
        let long: &'static [u8] = Box::leak(vec![b'a'; 70_000].into_boxed_slice());
        let found = found(&[], &["-"], Some((long, false)));
        assert!(
            found.len() == 1 && found[0].contains("the list: a path has 65536 bytes or more"),
            "{found:?}"
        );
    }
}
