//! Manifests, Parquet and IDX files.

use crate::bytes::{damaged, strangers};
use crate::case::Case;

const PARQUET: &[u8] =
    include_bytes!("../../../crates/data/tests/fixtures/parquet/numbers.parquet");

fn csv(name: &str, text: impl Into<Vec<u8>>) -> Case {
    let case = Case::new(format!("manifest-{name}"), "data check data/x.csv").with_data();
    case.file("data/x.csv", text)
}

fn jsonl(name: &str, text: impl Into<Vec<u8>>) -> Case {
    let case = Case::new(format!("jsonl-{name}"), "data check data/x.jsonl").with_data();
    case.file("data/x.jsonl", text)
}

pub fn cases() -> Vec<Case> {
    let mut cases = manifests();
    for (how, bytes) in damaged(PARQUET).into_iter().chain(strangers()) {
        let case = Case::new(format!("parquet-{how}"), "data check x.parquet");
        cases.push(case.file("x.parquet", bytes));
    }
    cases.extend(idx());
    for path in ["x.csv", "x.jsonl", "x.parquet"] {
        let check = |name: &str| Case::new(format!("{name}-{path}"), format!("data check {path}"));
        cases.push(check("pipe").pipe(path));
        cases.push(check("device").link(path, "/dev/zero"));
        cases.push(check("folder").folder(path));
        cases.push(check("missing"));
    }
    cases
}

fn manifests() -> Vec<Case> {
    let row = "train/red/0.png,red,train\n";
    let rows = "train/red/0.png,red,train\ntrain/green/0.png,green,train\ntest/red/0.png,red,test\n\
                test/green/0.png,green,test\n";
    let mut cases = vec![
        csv("header-only", "path,label,split\n"),
        csv("no-header", row),
        csv("one-column", "path\na.png\n"),
        csv("zero-bytes", "path,label\n\0,\0\n"),
        csv("not-utf8", b"path,label\n\xff\xfe.png,red\n".to_vec()),
        csv("utf16", b"\xff\xfep\0a\0t\0h\0".to_vec()),
        csv(
            "open-quote",
            format!("path,label,split\n\"{}", rows.repeat(1000)),
        ),
        csv("same-header", format!("path,path,label,label,split\n{row}")),
        csv("ragged", "path,label\na.png\nb.png,red,green,blue\n"),
        csv(
            "escape",
            "path,label\n\u{1b}[31m\u{9b}2J.png,\u{1b}]0;title\u{7}\n",
        ),
        csv("absolute", "path,label\n/etc/passwd,red\n/dev/zero,green\n"),
        csv("upwards", "path,label\n../../../../../../etc/passwd,red\n"),
        csv("itself", "path,label\nx.csv,red\n"),
        csv("folder", "path,label\ntrain,red\n.,green\n"),
        csv("no-label", "path,label,split\ntrain/red/0.png,,train\n"),
        csv("no-path", "path,label,split\n,red,train\n"),
        csv(
            "unknown-part",
            "path,label,split\ntrain/red/0.png,red,\u{1b}[31mlater\n",
        ),
        csv(
            "million-columns",
            format!("path,label{}\n{row}", ",x".repeat(1_000_000)),
        ),
        csv(
            "long-cell",
            format!(
                "path,label,split\ntrain/red/{}.png,red,train\n",
                "x".repeat(20_000_000)
            ),
        ),
        csv(
            "long-label",
            format!(
                "path,label,split\n{rows}train/red/1.png,{},train\n",
                "x".repeat(20_000_000)
            ),
        ),
        csv("many-labels", {
            let rows: Vec<_> = (0..50_000)
                .map(|i| format!("train/red/0.png,label{i},train"))
                .collect();
            format!("path,label,split\n{}\n", rows.join("\n"))
        }),
        csv(
            "same-picture",
            format!("path,label,split\n{rows}{}", row.repeat(100_000)),
        ),
        csv(
            "carriage-returns",
            format!("path,label,split\n{rows}").replace('\n', "\r"),
        ),
        csv(
            "blank-lines",
            format!("\n\n\npath,label,split\n\n{rows}\n \n\t\n"),
        ),
        csv(
            "semicolons",
            format!("path,label,split\n{rows}").replace(',', ";"),
        ),
        csv("mark", format!("\u{feff}path,label,split\n{rows}")),
        csv(
            "windows-paths",
            format!("path,label,split\n{rows}").replace('/', "\\"),
        ),
    ];
    cases.extend([
        jsonl("deep", "[".repeat(1_000_000)),
        jsonl("deep-object", "{\"a\":".repeat(100_000)),
        jsonl("array", "[1, 2]\n"),
        jsonl("null", "null\n{}\n"),
        jsonl("numbers", "{\"path\": 1e999, \"label\": -0}\n"),
        jsonl(
            "huge-number",
            format!(
                "{{\"path\": \"a.png\", \"label\": {}}}\n",
                "9".repeat(100_000)
            ),
        ),
        jsonl(
            "same-key",
            "{\"path\": \"a.png\", \"path\": \"b.png\", \"label\": \"red\"}\n",
        ),
        jsonl(
            "surrogate",
            "{\"path\": \"\\ud800.png\", \"label\": \"red\"}\n",
        ),
        jsonl(
            "escape",
            "{\"path\": \"\\u001b[31m.png\", \"label\": \"\\u0007\\n\"}\n",
        ),
        jsonl(
            "mark",
            "\u{feff}{\"path\": \"train/red/0.png\", \"label\": \"red\"}\n",
        ),
        jsonl("half", "{\"path\": \"train/red/0.png\", \"lab"),
    ]);
    cases
}

fn idx() -> Vec<Case> {
    const NAMES: [&str; 4] = [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ];
    let images = |count: u32, height: u32, width: u32, bytes: usize| {
        let mut file = vec![0, 0, 8, 3];
        for length in [count, height, width] {
            file.extend(length.to_be_bytes());
        }
        file.extend(vec![7; bytes]);
        file
    };
    let labels = |count: u32, bytes: usize| {
        let mut file = vec![0, 0, 8, 1];
        file.extend(count.to_be_bytes());
        file.extend((0..bytes).map(|index| (index % 2) as u8));
        file
    };
    let files = |name: &str, first: Vec<u8>, second: Vec<u8>| {
        let case = Case::new(format!("idx-{name}"), "data check idx");
        let good = (images(4, 8, 8, 256), labels(4, 4));
        [first, second, good.0, good.1]
            .into_iter()
            .zip(NAMES)
            .fold(case, |case, (bytes, name)| {
                case.file(format!("idx/{name}"), bytes)
            })
    };
    let mut cases = vec![
        files("good", images(4, 8, 8, 256), labels(4, 4)),
        files(
            "huge-count",
            images(u32::MAX, 8, 8, 256),
            labels(u32::MAX, 4),
        ),
        files(
            "huge-size",
            images(4, u32::MAX, u32::MAX, 256),
            labels(4, 4),
        ),
        files("no-size", images(4, 0, 0, 0), labels(4, 4)),
        files("none", images(0, 8, 8, 0), labels(0, 0)),
        files("fewer-labels", images(4, 8, 8, 256), labels(3, 3)),
    ];
    for (how, bytes) in damaged(&images(4, 8, 8, 256))
        .into_iter()
        .chain(strangers())
    {
        cases.push(files(&how, bytes, labels(4, 4)));
    }
    cases
}
