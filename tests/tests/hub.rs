//! Weights from the Hugging Face Hub, which a local server simulates.
//!
//! Opt-in, because it builds TLS and an asynchronous runtime:
//! `cargo test --workspace --features finetune-tests/hub --test hub`.

#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use finetune::model::{Architecture, state_dict, write_safetensors};
use util::Folder;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Where no server answers.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A file of a repository.
#[derive(Clone)]
struct File {
    content: Vec<u8>,
    /// What the Hub calls it: for large files, the SHA-256.
    etag: String,
    /// How much of it is sent before the connection breaks.
    sent: usize,
}

impl File {
    fn new(content: Vec<u8>, etag: &str) -> Self {
        Self {
            sent: content.len(),
            content,
            etag: etag.to_owned(),
        }
    }
}

/// A server that has the files at these paths, `OWNER/NAME/FILE`.
struct Hub {
    files: Arc<Mutex<BTreeMap<String, File>>>,
    endpoint: String,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files = Arc::new(Mutex::new(BTreeMap::new()));
        let served = Arc::clone(&files);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = answer(stream.unwrap(), &served);
            }
        });
        Self { files, endpoint }
    }

    fn put(&self, path: &str, file: File) {
        self.files.lock().unwrap().insert(path.to_owned(), file);
    }
}

fn answer(mut stream: TcpStream, files: &Mutex<BTreeMap<String, File>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header == "\r\n" {
            break;
        }
    }
    let mut parts = request.split(' ');
    let (method, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let path = path.trim_start_matches('/').replace("resolve/main/", "");
    let file = files.lock().unwrap().get(&path).cloned();
    let Some(file) = file else {
        return write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nX-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        file.etag,
        file.content.len()
    )?;
    if method == "GET" {
        stream.write_all(&file.content[..file.sent])?;
    }
    stream.flush()
}

fn finetune(folder: &Folder, endpoint: &str, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_finetune-under-test"));
    command
        .args(args.split(' '))
        .current_dir(folder.path(""))
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", folder.path("hub"))
        .env("FINETUNE_CACHE", folder.path("cache"))
        .env_remove("HF_TOKEN");
    command.output().unwrap()
}

fn inspect(folder: &Folder, endpoint: &str, weights: &str) -> Output {
    let args = format!("inspect --method linear --json --weights {weights}");
    finetune(folder, endpoint, &args)
}

fn succeeds(output: &Output) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.status.success(), "{said}");
}

/// Checks that a command failed with one line, before which a download may have begun.
fn failed(output: &Output, code: i32, message: &str) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(message), "{said}");
    let lines = said.trim_end().lines();
    let lines: Vec<&str> = lines
        .filter(|line| !line.starts_with("downloading"))
        .collect();
    assert_eq!(lines.len(), 1, "{said}");
}

fn shipped() -> Vec<u8> {
    let weights = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../datasets/weights/resnet8-64-signs.safetensors"
    );
    std::fs::read(weights).unwrap()
}

/// The SHA-256 of a file, as the command computes it for `--weights-sha256`.
fn sha256(folder: &Folder, content: &[u8]) -> String {
    std::fs::write(folder.path("hashed"), content).unwrap();
    finetune::weights::hash(&folder.path("hashed")).unwrap()
}

#[test]
fn a_file_is_fetched_once_and_then_found_in_the_cache() {
    let hub = Hub::start();
    hub.put("me/mine/model.safetensors", File::new(shipped(), "abc"));
    let folder = Folder::new();
    let wanted = "cannot get `model.safetensors` of me/mine (revision main) from the Hub; download \
                  it by other means and give its path with --weights FILE";
    // The file is not in the cache, and no server answers.
    failed(&inspect(&folder, NOWHERE, "hf:me/mine"), 1, wanted);
    // The first call downloads the file. The second reads it from the cache, because no server answers.
    for endpoint in [&hub.endpoint[..], NOWHERE] {
        let output = inspect(&folder, endpoint, "hf:me/mine");
        succeeds(&output);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["model"], "resnet8-64");
    }
    // A file that does not exist, and a pinned revision that is in the cache.
    failed(
        &inspect(&folder, &hub.endpoint, "hf:me/mine/other.pth"),
        1,
        "cannot get `other.pth` of me/mine",
    );
    succeeds(&inspect(&folder, NOWHERE, &format!("hf:me/mine@{COMMIT}")));
}

#[test]
fn all_files_of_an_index_are_fetched() {
    let folder = Folder::new();
    let hub = Hub::start();
    let small = Architecture::find("resnet8-64").unwrap();
    let tensors = state_dict(&small.build(3, 5, &Device::flex()), small).unwrap();
    let mut map = BTreeMap::new();
    let mut parts = [Vec::new(), Vec::new()];
    for (number, tensor) in tensors.into_iter().enumerate() {
        map.insert(
            tensor.name.clone(),
            format!("part{}.safetensors", number % 2),
        );
        parts[number % 2].push(tensor);
    }
    for (number, tensors) in parts.into_iter().enumerate() {
        let path = folder.path("part");
        write_safetensors(tensors, &BTreeMap::new(), &path).unwrap();
        let content = std::fs::read(path).unwrap();
        let etag = sha256(&folder, &content);
        let name = format!("me/large/part{number}.safetensors");
        hub.put(&name, File::new(content, &etag));
    }
    let index = serde_json::json!({ "weight_map": map }).to_string();
    let name = "me/large/model.safetensors.index.json";
    hub.put(name, File::new(index.into_bytes(), "index"));
    for endpoint in [&hub.endpoint[..], NOWHERE] {
        succeeds(&inspect(
            &folder,
            endpoint,
            "hf:me/large --model resnet8-64",
        ));
    }
    // One is missing in the repository.
    hub.files
        .lock()
        .unwrap()
        .remove("me/large/part1.safetensors");
    failed(
        &inspect(&Folder::new(), &hub.endpoint, "hf:me/large"),
        1,
        "cannot get `part1.safetensors` of me/large",
    );
}

#[test]
fn a_damaged_or_interrupted_download_is_not_used() {
    let folder = Folder::new();
    let hub = Hub::start();
    let content = shipped();
    let etag = sha256(&folder, &content);
    let path = "me/mine/model.safetensors";
    // Another content than the Hub says.
    let mut damaged = content.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    hub.put(path, File::new(damaged, &etag));
    failed(
        &inspect(&folder, &hub.endpoint, "hf:me/mine"),
        1,
        "`model.safetensors` of me/mine is damaged: its SHA-256 is ",
    );
    // The connection breaks.
    let whole = File::new(content, &etag);
    let sent = whole.content.len() / 2;
    hub.put(
        path,
        File {
            sent,
            ..whole.clone()
        },
    );
    failed(
        &inspect(&folder, &hub.endpoint, "hf:me/mine"),
        1,
        "cannot get `model.safetensors` of me/mine",
    );
    // Neither remains in the cache.
    failed(&inspect(&folder, NOWHERE, "hf:me/mine"), 1, "cannot get");
    hub.put(path, whole);
    succeeds(&inspect(&folder, &hub.endpoint, "hf:me/mine"));
}

#[test]
fn the_weights_of_a_model_are_fetched_by_its_name() {
    const TRAIN: &str = "train --model mobilenet_v2 --method linear --data data --epochs 1 \
                         --image-size 32 --ui none --threads 1 --out";
    let folder = Folder::colors();
    let hub = Hub::start();
    let model = Architecture::find("mobilenet_v2").unwrap();
    let tensors = state_dict(&model.build(10, 5, &Device::flex()), model).unwrap();
    let file = folder.path("made");
    write_safetensors(tensors, &BTreeMap::new(), &file).unwrap();
    let content = std::fs::read(&file).unwrap();
    let etag = sha256(&folder, &content);
    let place = "weights/timm/mobilenetv2_100.ra_in1k/model.safetensors";
    let output = finetune(&folder, NOWHERE, &format!("{TRAIN} a"));
    let wanted = "the pretrained weights of `mobilenet_v2` are `model.safetensors` of \
                  timm/mobilenetv2_100.ra_in1k on the Hugging Face Hub, which cannot be downloaded: ";
    failed(&output, 2, wanted);
    let shown = folder.path("cache").join(place);
    failed(&output, 2, &format!("put it at `{}`", shown.display()));

    let path = "timm/mobilenetv2_100.ra_in1k/model.safetensors";
    hub.put(path, File::new(content.clone(), &etag));
    let wrong = format!("{TRAIN} a --weights-sha256 {}", "0".repeat(64));
    failed(
        &finetune(&folder, &hub.endpoint, &wrong),
        1,
        "has the SHA-256",
    );
    succeeds(&finetune(&folder, &hub.endpoint, &format!("{TRAIN} a")));
    let named = format!("{TRAIN} b --weights timm:mobilenetv2_100");
    succeeds(&finetune(&folder, NOWHERE, &named));

    // A file that was put into the cache folder needs no Hub.
    let folder = Folder::colors();
    let shown = folder.path("cache").join(place);
    std::fs::create_dir_all(shown.parent().unwrap()).unwrap();
    std::fs::write(&shown, content).unwrap();
    succeeds(&finetune(&folder, NOWHERE, &format!("{TRAIN} a")));
    assert!(!folder.exists("hub"));
}
