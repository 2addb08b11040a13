//! PyTorch's own files (`.pth`, `.pt`, `.ckpt`, `.bin`): zip archives, the stream of before version
//! 1.6, and the tar archive of before 0.1.10. All have a pickle that describes the tensors, and storages with their numbers.

mod legacy;
mod opened;
mod storage;
mod tar;
mod zip;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use self::opened::{Opened, big_endian};
use self::storage::Place;
use self::zip::Directory;
use super::foreign;
use super::pickle::{self, Contents, Pickled};
use super::tensor_file::{Entry, Float, TensorFile};

/// A tensor and the place of its storage.
struct Stored {
    tensor: Pickled,
    place: Option<Place>,
}

/// An open file of PyTorch.
pub(super) struct PyTorch {
    file: File,
    entries: BTreeMap<String, Entry>,
    stored: Vec<Stored>,
}

/// Whether these are the first bytes of a zip, a pickle or a tar of PyTorch.
///
/// A safetensors file begins with the length of its header. The low bytes of the length may be those of
/// a pickle, but then the brace of the header follows.
pub(super) fn is_pytorch(start: &[u8]) -> bool {
    if start.len() > 8 && start[4..9] == *b"\0\0\0\0{" {
        return false;
    }
    // A pickle of protocol 2 to 5, or a magic number of protocol 0 or 1.
    start.starts_with(b"PK\x03\x04")
        || start.starts_with(b"PK\x05\x06")
        || (start.len() > 1 && start[0] == 0x80 && (2..=5).contains(&start[1]))
        || legacy::is_legacy(start)
        || tar::is_tar(start)
}

impl PyTorch {
    /// Opens a file of `size` bytes that begins with `start`.
    pub(super) fn open(mut file: File, size: u64, start: &[u8]) -> Result<Self, String> {
        file.seek(SeekFrom::Start(0))
            .map_err(|error| error.to_string())?;
        let opened = if start.starts_with(b"PK") {
            archive(&mut file, size)?
        } else if tar::is_tar(start) {
            tar::open(&mut file, size)?
        } else if legacy::is_legacy(start) {
            legacy::open(&mut file, size)?
        } else {
            legacy::open_plain(&mut BufReader::new(&mut file))?
        };
        let Opened { contents, places } = opened;
        let Contents {
            tensors, unknown, ..
        } = contents;
        if tensors.is_empty() {
            return Err(match unknown {
                Some(what) => {
                    format!("it has {what}; write it with torch.save(model.state_dict(), FILE)")
                }
                None => {
                    "it has no tensors; it should be a state dict written by torch.save".to_owned()
                }
            });
        }
        let mut entries = BTreeMap::new();
        let mut stored = Vec::with_capacity(tensors.len());
        for (name, tensor) in tensors {
            let entry = Entry {
                shape: tensor.shape.clone(),
                float: tensor.number.float(),
                dtype: tensor.number.name(),
                index: stored.len(),
            };
            entries.insert(name, entry);
            let place = places.get(&tensor.storage).copied();
            stored.push(Stored { tensor, place });
        }
        Ok(Self {
            file,
            entries,
            stored,
        })
    }
}

/// Reads an archive as `torch.save` writes it: its files are in one folder, which `data.pkl` marks.
fn archive(file: &mut File, size: u64) -> Result<Opened, String> {
    let directory = Directory::read(file, size)?;
    let roots = directory
        .names()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .filter(|root| root.is_empty() || root.ends_with('/'));
    let Some(root) = roots.min_by_key(|root| root.len()).map(str::to_owned) else {
        return Err(foreign::archive(directory.names()));
    };
    let has = |name: &str| {
        directory
            .names()
            .any(|other| other.starts_with(&format!("{root}{name}")))
    };
    if has("constants.pkl") || has("code/") {
        return Err(
            "it is a TorchScript archive, whose program is not run; save its weights with \
             torch.save(torch.jit.load(FILE).state_dict(), NEW)"
                .to_owned(),
        );
    }
    if let Some(place) = directory.place(&format!("{root}byteorder"), file, size)? {
        let mut order = String::new();
        let reader = place.reader(file, 0).map_err(|error| error.to_string())?;
        let read = reader.take(16).read_to_string(&mut order);
        read.map_err(|error| error.to_string())?;
        if order.trim() == "big" {
            return Err(big_endian());
        }
    }
    let place = directory.place(&format!("{root}data.pkl"), file, size)?;
    let place = place.ok_or_else(|| "it has no data.pkl".to_owned())?;
    let reader = place.reader(file, 0).map_err(|error| error.to_string())?;
    let contents = pickle::read(&mut BufReader::new(reader))?;
    let mut places = HashMap::new();
    for key in contents.storages.keys() {
        // A storage that is missing matters only if its tensor is wanted.
        if let Some(place) = directory.place(&format!("{root}data/{key}"), file, size)? {
            places.insert(key.clone(), place);
        }
    }
    Ok(Opened { contents, places })
}

impl PyTorch {
    /// The type of a tensor's numbers, how many a row has, and where they are.
    fn find(&self, name: &str) -> Result<(Float, usize, &Stored), String> {
        let entry = self.entries.get(name);
        let stored = entry.and_then(|entry| Some((entry, self.stored.get(entry.index)?)));
        let (entry, stored) =
            stored.ok_or_else(|| format!("it has no tensor {}", finetune_files::quoted(name)))?;
        Ok((entry.float(name)?, entry.rows().1, stored))
    }
}

impl TensorFile for PyTorch {
    fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    fn reserve(&self, name: &str) -> Result<usize, String> {
        let (float, _, Stored { tensor, place }) = self.find(name)?;
        let place = place.as_ref().ok_or_else(|| missing(name))?;
        place
            .reserve(tensor, float)
            .map_err(|reason| about(name, &reason))
    }

    fn for_rows(
        &mut self,
        name: &str,
        count: usize,
        each: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), String> {
        let (float, row, Stored { tensor, place }) = self.find(name)?;
        let (place, tensor) = (place.ok_or_else(|| missing(name))?, tensor.clone());
        place
            .rows(&mut self.file, &tensor, float, (count.max(1), row), each)
            .map_err(|reason| about(name, &reason))
    }
}

fn missing(name: &str) -> String {
    about(name, "its numbers are missing in the file")
}

fn about(name: &str, reason: &str) -> String {
    format!("its tensor {}: {reason}", finetune_files::quoted(name))
}
