//! Rules of the house that the compiler does not hold: what ARCHITECTURE.md says of the crates' files.
//!
//! No ring of files: within a crate, no file uses another one that, directly or through others, uses it.
//! A file uses another one if it names an item that is defined there. A re-export counts as the file
//! that defines the item; `mod` declarations, re-exports themselves and unit tests do not count. What
//! this reading of the text does not see: methods called on a type whose `impl` block is in another
//! file than the type.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The crates that a program can import.
const LIBRARIES: [&str; 9] = [
    "data",
    "evaluation",
    "files",
    "finetune",
    "kernels",
    "methods",
    "model",
    "onnx",
    "training",
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")
}

#[test]
fn no_file_is_in_a_ring() {
    for name in [
        "cli",
        "data",
        "evaluation",
        "finetune",
        "methods",
        "model",
        "onnx",
        "training",
    ] {
        let found = rings(&crates().join(name).join("src"));
        assert!(found.is_empty(), "files that use each other: {found:#?}");
    }
}

#[test]
fn a_ring_is_found_through_a_re_export_and_an_import_within_a_function() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a;\nmod b;\nmod leaf;\npub use a::A;\n");
    write(
        "leaf.rs",
        "pub struct Leaf;\n#[cfg(test)]\nmod tests { use crate::A; }\n",
    );
    write("a.rs", "pub struct A(crate::b::inner::B);\n");
    write("b/mod.rs", "pub mod inner;\n");
    write(
        "b/inner.rs",
        "pub struct B;\nfn f() { use crate::{leaf::Leaf, A}; } // crate::A\n",
    );
    let file = |name: &str| folder.path().join(name);
    assert_eq!(rings(folder.path()), [[file("a.rs"), file("b/inner.rs")]]);
    write("b/inner.rs", "pub struct B;\n// crate::A\n");
    assert!(rings(folder.path()).is_empty());
}

#[test]
fn libraries_print_nothing() {
    let printing = ["println", "eprintln", "print", "eprint", "dbg"];
    for name in LIBRARIES {
        for path in sources(&crates().join(name).join("src")) {
            let tokens = tokens(&std::fs::read_to_string(&path).unwrap());
            for pair in tokens.windows(2) {
                let prints = printing.contains(&pair[0].as_str()) && pair[1] == "!";
                assert!(!prints, "{} prints", path.display());
            }
        }
    }
}

#[test]
fn libraries_know_no_command_line() {
    for library in LIBRARIES {
        let manifest = crates().join(library).join("Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).unwrap();
        for name in ["clap", "indicatif", "ctrlc", "anyhow"] {
            assert!(!manifest.contains(name), "{library} depends on {name}");
        }
    }
}

#[test]
fn files_have_at_most_500_lines() {
    for name in LIBRARIES.iter().chain(&["cli"]) {
        for path in sources(&crates().join(name).join("src")) {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 500, "{} has {lines} lines", path.display());
        }
    }
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Path of a module within its crate, e.g. `["step", "loss"]`; the crate's root is empty.
type Module = Vec<String>;

#[derive(Debug, Default)]
struct File {
    path: PathBuf,
    /// Names that `use` declarations bind, and what they stand for.
    bound: BTreeMap<String, Vec<String>>,
    /// Paths of glob imports.
    globs: Vec<Vec<String>>,
    /// Names of the items that are defined here.
    items: BTreeSet<String>,
    /// All other paths of at least two segments.
    paths: BTreeSet<Vec<String>>,
    /// Names of private `use` declarations: these count as uses.
    used: Vec<Vec<String>>,
}

/// The rings of a crate's files, each as the paths of its files.
fn rings(src: &Path) -> Vec<Vec<PathBuf>> {
    let files = files(src);
    let modules: Vec<&Module> = files.keys().collect();
    let number: BTreeMap<&Module, usize> =
        modules.iter().enumerate().map(|(i, m)| (*m, i)).collect();
    let edges: Vec<BTreeSet<usize>> = files
        .iter()
        .map(|(module, file)| {
            let own = file.used.iter().chain(&file.paths);
            let found = own.filter_map(|path| resolve(&files, module, path, 0));
            let globs = file
                .globs
                .iter()
                .filter_map(|path| as_module(&files, module, path));
            found
                .chain(globs)
                .filter(|other| other != module)
                .filter_map(|other| number.get(&other).copied())
                .collect()
        })
        .collect();
    let reach: Vec<BTreeSet<usize>> = (0..edges.len())
        .map(|start| reachable(&edges, start))
        .collect();
    let mut found: BTreeSet<Vec<usize>> = BTreeSet::new();
    for start in 0..edges.len() {
        let ring: Vec<usize> = reach[start]
            .iter()
            .copied()
            .filter(|other| reach[*other].contains(&start))
            .collect();
        if ring.len() > 1 {
            found.insert(ring);
        }
    }
    let path = |index: usize| files[modules[index]].path.clone();
    found
        .into_iter()
        .map(|ring| ring.into_iter().map(path).collect())
        .collect()
}

fn reachable(edges: &[BTreeSet<usize>], start: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(next) = open.pop() {
        for other in &edges[next] {
            if seen.insert(*other) {
                open.push(*other);
            }
        }
    }
    seen
}

fn files(src: &Path) -> BTreeMap<Module, File> {
    let mut found = BTreeMap::new();
    for path in sources(src) {
        let relative = path.strip_prefix(src).unwrap().with_extension("");
        let mut module: Module = relative
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        let last = module.last().map(String::as_str);
        if last == Some("mod") || module == ["lib"] || module == ["main"] {
            module.pop();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        found.insert(module, read(path, &text));
    }
    found
}

/// Tokens: identifiers and single characters, without comments, literals and unit tests.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut found: Vec<String> = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = |n: usize| chars.get(at + n).copied();
        match chars[at] {
            '/' if rest(1) == Some('/') => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
            }
            '/' if rest(1) == Some('*') => {
                while at + 1 < chars.len() && !(chars[at] == '*' && chars[at + 1] == '/') {
                    at += 1;
                }
                at += 2;
            }
            '"' => {
                at += 1;
                while at < chars.len() && chars[at] != '"' {
                    at += if chars[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
            }
            'r' if matches!(rest(1), Some('"' | '#')) && {
                let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
                rest(1 + hashes) == Some('"')
            } =>
            {
                let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
                let mut end = vec!['#'; hashes + 1];
                end[0] = '"';
                at += 2 + hashes;
                while at < chars.len() && !chars[at..].starts_with(&end) {
                    at += 1;
                }
                at += end.len();
            }
            // A character literal; a lifetime has no closing quote.
            '\'' if rest(1) == Some('\\') || rest(2) == Some('\'') => {
                at += if rest(1) == Some('\\') { 3 } else { 2 };
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
            c if c.is_alphabetic() || c == '_' => {
                let start = at;
                while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                    at += 1;
                }
                found.push(chars[start..at].iter().collect());
            }
            c => {
                if !c.is_whitespace() {
                    found.push(c.to_string());
                }
                at += 1;
            }
        }
    }
    without_tests(&found)
}

fn without_tests(tokens: &[String]) -> Vec<String> {
    let head = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().take(head.len()).eq(head.iter()) {
            at += head.len();
            // Up to the end of the item: a `;`, the block that closes again, or in a list (of variants, arms
            // or fields) a `,` or the end of the list.
            let mut depth = 0_usize;
            while at < tokens.len() {
                match tokens[at].as_str() {
                    "{" | "(" | "[" => depth += 1,
                    "}" | ")" | "]" if depth == 0 => break,
                    ")" | "]" => depth -= 1,
                    "}" => {
                        depth -= 1;
                        if depth == 0 {
                            at += 1;
                            break;
                        }
                    }
                    ";" | "," if depth == 0 => {
                        at += 1;
                        break;
                    }
                    _ => {}
                }
                at += 1;
            }
        } else {
            found.push(tokens[at].clone());
            at += 1;
        }
    }
    found
}

fn read(path: PathBuf, text: &str) -> File {
    let tokens = tokens(text);
    let mut file = File {
        path,
        ..File::default()
    };
    let mut at = 0;
    while at < tokens.len() {
        let token = tokens[at].as_str();
        match token {
            "use" => {
                let public = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
                let end = at
                    + tokens[at..]
                        .iter()
                        .position(|token| token == ";")
                        .unwrap_or(0);
                let mut position = at + 1;
                tree(&tokens, &mut position, &[], public, &mut file);
                at = end.max(at + 1);
                continue;
            }
            "struct" | "enum" | "trait" | "fn" | "type" | "const" | "static" | "union" => {
                if let Some(name) = tokens.get(at + 1) {
                    file.items.insert(name.clone());
                }
            }
            _ if is_name(token) && tokens.get(at + 1).is_some_and(|next| next == ":") => {
                let start = at;
                let mut path = vec![token.to_owned()];
                while at + 3 < tokens.len()
                    && tokens[at + 1] == ":"
                    && tokens[at + 2] == ":"
                    && is_name(&tokens[at + 3])
                {
                    path.push(tokens[at + 3].clone());
                    at += 3;
                }
                let inside = start >= 2 && tokens[start - 1] == ":" && tokens[start - 2] == ":";
                if path.len() > 1 && !inside {
                    file.paths.insert(path);
                }
            }
            _ => {}
        }
        at += 1;
    }
    file
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads the tree of a `use` declaration.
fn tree(tokens: &[String], at: &mut usize, before: &[String], public: bool, file: &mut File) {
    let mut path = before.to_vec();
    loop {
        match tokens.get(*at).map(String::as_str) {
            Some("{") => {
                *at += 1;
                while tokens.get(*at).is_some_and(|token| token != "}") {
                    tree(tokens, at, &path, public, file);
                    if tokens.get(*at).is_some_and(|token| token == ",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            Some("*") => {
                *at += 1;
                file.globs.push(path);
                return;
            }
            Some(":") => *at += 1,
            Some(name) if is_name(name) && name != "as" => {
                path.push(name.to_owned());
                *at += 1;
            }
            _ => break,
        }
    }
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if tokens.get(*at).is_some_and(|token| token == "as") {
        name.clone_from(&tokens[*at + 1]);
        *at += 2;
    }
    if !public {
        file.used.push(path.clone());
    }
    file.bound.insert(name, path);
}

/// The module that a path from `module` names, if it names one.
fn as_module(files: &BTreeMap<Module, File>, module: &Module, path: &[String]) -> Option<Module> {
    let (mut at, rest) = start(files, module, path, 0)?;
    for segment in rest {
        at.push(segment.clone());
        if !files.contains_key(&at) {
            return None;
        }
    }
    Some(at)
}

/// Where a path begins, and the segments after that.
fn start(
    files: &BTreeMap<Module, File>,
    module: &Module,
    path: &[String],
    depth: usize,
) -> Option<(Module, Vec<String>)> {
    let mut at = module.clone();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => {
            at = Vec::new();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|first| first == "super") {
                at.pop();
                rest = &rest[1..];
            }
        }
        first => {
            let mut child = module.clone();
            child.push(first.to_owned());
            if !files.contains_key(&child) {
                let target = files.get(module)?.bound.get(first)?;
                if depth > 8 || target.first().is_some_and(|name| name == first) {
                    return None;
                }
                let mut whole = target.clone();
                whole.extend_from_slice(&rest[1..]);
                return start(files, module, &whole, depth + 1);
            }
        }
    }
    Some((at, rest.to_vec()))
}

/// The module whose file defines the item that a path names; `None` for a module or another crate's.
fn resolve(
    files: &BTreeMap<Module, File>,
    module: &Module,
    path: &[String],
    depth: usize,
) -> Option<Module> {
    if depth > 16 {
        return None;
    }
    let (mut at, rest) = start(files, module, path, 0)?;
    for (index, segment) in rest.iter().enumerate() {
        let mut child = at.clone();
        child.push(segment.clone());
        if files.contains_key(&child) {
            at = child;
            continue;
        }
        let file = files.get(&at)?;
        if file.items.contains(segment) {
            return Some(at);
        }
        let after = &rest[index + 1..];
        if let Some(target) = file.bound.get(segment) {
            let mut whole = target.clone();
            whole.extend_from_slice(after);
            // A type's associated item: the type's file.
            return resolve(files, &at, &whole, depth + 1)
                .or_else(|| resolve(files, &at, target, depth + 1));
        }
        for glob in &file.globs {
            let Some(other) = as_module(files, &at, glob) else {
                continue;
            };
            let mut whole: Vec<String> = vec!["crate".to_owned()];
            whole.extend(other.iter().cloned());
            whole.push(segment.clone());
            if files[&other].items.contains(segment) || files[&other].bound.contains_key(segment) {
                return resolve(files, &at, &whole, depth + 1);
            }
        }
        return None;
    }
    None
}
