//! Weights from the Hugging Face Hub, which a local server simulates.
//!
//! Opt-in, because it builds TLS and an asynchronous runtime:
//! `cargo test --workspace --features finetune-tests/hub --test hub`.

#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};

use util::Folder;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Answers requests for `me/mine`, whose `model.safetensors` is the shipped checkpoint.
fn answer(stream: TcpStream, weights: &[u8]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header == "\r\n" {
            break;
        }
    }
    let mut stream = stream;
    let mut parts = request.split(' ');
    let (method, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    if path == "/me/mine/resolve/main/model.safetensors" {
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            weights.len()
        )?;
        if method == "GET" {
            stream.write_all(weights)?;
        }
    } else {
        write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nX-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        )?;
    }
    stream.flush()
}

fn inspect(folder: &Folder, endpoint: &str, offline: bool, weights: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_finetune-under-test"));
    command
        .args([
            "inspect",
            "--method",
            "linear",
            "--json",
            "--weights",
            weights,
        ])
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", folder.path("hub"))
        .env_remove("HF_TOKEN");
    if offline {
        command.env("HF_HUB_OFFLINE", "1");
    }
    command.output().unwrap()
}

#[test]
fn a_file_is_fetched_once_and_then_found_in_the_cache() {
    let weights = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../datasets/weights/resnet8-64-signs.safetensors"
    );
    let weights = std::fs::read(weights).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = answer(stream.unwrap(), &weights);
        }
    });
    let folder = Folder::new();
    let nowhere = "http://127.0.0.1:9";
    let failed = |output: &Output, message: &str| {
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(message), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    };
    let wanted = "cannot get `model.safetensors` of me/mine (revision main) from the Hub; download \
                  it by other means and give its path with --weights FILE";
    // The file is neither on the network nor in the cache.
    failed(&inspect(&folder, nowhere, false, "hf:me/mine"), wanted);
    failed(&inspect(&folder, nowhere, true, "hf:me/mine"), wanted);
    // The first call downloads the file. The next two read it from the cache: in offline mode, and
    // because no server answers.
    for (endpoint, offline) in [(&endpoint[..], false), (nowhere, true), (nowhere, false)] {
        let output = inspect(&folder, endpoint, offline, "hf:me/mine");
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(output.status.success(), "{endpoint} {offline}: {said}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["model"], "resnet8-64");
    }
    // A file that does not exist, and a pinned revision that is in the cache.
    failed(
        &inspect(&folder, &endpoint, false, "hf:me/mine/other.pth"),
        "cannot get `other.pth` of me/mine",
    );
    let pinned = format!("hf:me/mine@{COMMIT}");
    assert!(inspect(&folder, nowhere, false, &pinned).status.success());
}
