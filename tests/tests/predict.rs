//! `predict`: from files, folders, patterns, manifests and lists to answers in several forms.

#![cfg(unix)]
#![allow(clippy::cast_possible_truncation, clippy::unwrap_used, missing_docs)]

#[path = "util/predict.rs"]
mod predicting;
mod util;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Command;

use finetune::FinishedRun;
use finetune::data::{ImageSet, Pipeline, Sample, Source, StoredSize};
use predicting::{call, start, trained, typed};
use serde_json::Value;
use util::line;

/// Path, class and probability of each image in a JSON document.
fn answers(document: &Value) -> Vec<(String, String, f64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let images = document.as_array().unwrap().iter();
    images
        .map(|one| {
            let probability = one["probability"].as_f64().unwrap();
            (text(&one["path"]), text(&one["class"]), probability)
        })
        .collect()
}

#[test]
fn every_way_to_name_images_gives_the_same_answers_in_its_order() {
    let folder = trained();
    let whole = folder.run("predict --run run --json data/test").ok().json();
    let whole = answers(&whole);
    let names: Vec<String> = ["blue", "green", "red"]
        .iter()
        .flat_map(|class| (0..4).map(move |index| format!("data/test/{class}/{index:03}.png")))
        .collect();
    let paths: Vec<&str> = whole.iter().map(|one| one.0.as_str()).collect();
    assert_eq!(paths, names);
    // Image by image, and all of them backwards.
    for (name, wanted) in names.iter().zip(&whole) {
        let alone = folder.run(&format!("predict --run run --json {name}"));
        let alone = answers(&alone.ok().json());
        assert_eq!((&alone[0].0, &alone[0].1), (&wanted.0, &wanted.1));
        assert!((alone[0].2 - wanted.2).abs() < 1e-6, "{alone:?} {wanted:?}");
    }
    let backwards: Vec<&str> = names.iter().rev().map(String::as_str).collect();
    let found = folder.run(&format!("predict --run run --json {}", backwards.join(" ")));
    let mut found = answers(&found.ok().json());
    found.reverse();
    let close = |found: &[(String, String, f64)], name: &str| {
        assert_eq!(found.len(), whole.len(), "{name}");
        for (found, wanted) in found.iter().zip(&whole) {
            assert_eq!((&found.0, &found.1), (&wanted.0, &wanted.1), "{name}");
            assert!(
                (found.2 - wanted.2).abs() < 1e-6,
                "{name}: {found:?} {wanted:?}"
            );
        }
    };
    close(&found, "backwards");
    // Patterns are quoted here: no shell expands them.
    for (args, stdin) in [
        ("data/test/*/*.png", String::new()),
        ("data/test/*", String::new()),
        ("data/**/test/**", String::new()),
        (
            "data/test/[a-c]*/00?.png data/test/g* data/test/red",
            String::new(),
        ),
        ("-", names.join("\n")),
        ("-", names.join("\r\n") + "\r\n"),
        ("-0 -", names.join("\0") + "\0"),
        (
            "--null data/test/blue - data/test/red",
            names[4..8].join("\0"),
        ),
        ("--batch-size 5 --workers 3 data/test", String::new()),
        ("--batch-size 1 --workers 1 data/test", String::new()),
    ] {
        let args = typed(&format!("--run run --json {args}"));
        let found = call(&folder, &args, stdin.as_bytes()).ok();
        close(&answers(&found.json()), &args.join(" "));
    }
    // Paths of a manifest begin in its folder; labels and other columns do not matter.
    let rows = names.iter().map(|name| name.strip_prefix("data/").unwrap());
    let table: Vec<String> = rows.clone().map(|name| format!("7;{name}\n")).collect();
    let table = table.concat();
    std::fs::write(folder.path("data/list.csv"), format!("id;image\n{table}")).unwrap();
    let lines = rows.map(|name| format!("{{\"path\": \"{name}\", \"label\": \"?\"}}\n"));
    std::fs::write(folder.path("data/list.jsonl"), lines.collect::<String>()).unwrap();
    for manifest in ["data/list.csv", "data/list.jsonl", "data/*.csv"] {
        let found = folder.run(&format!("predict --run run --json {manifest}"));
        close(&answers(&found.ok().json()), manifest);
    }
}

#[test]
fn answers_are_those_of_the_network_for_the_images_that_training_would_see() {
    let folder = trained();
    // A photograph that is resized and not square, turned and in grey.
    let large = image::RgbImage::from_fn(301, 97, |x, y| {
        image::Rgb([
            (x * 5 % 256) as u8,
            (y * 3 % 256) as u8,
            ((x * y) % 256) as u8,
        ])
    });
    large.save(folder.path("large.jpg")).unwrap();
    image::DynamicImage::from(large.clone())
        .to_luma16()
        .save(folder.path("grey.png"))
        .unwrap();
    let run = FinishedRun::open(&folder.path("run"), None, None).unwrap();
    let classes = run.classes().unwrap();
    assert_eq!(classes, ["blue", "green", "red"]);
    let architecture = run.config().architecture().unwrap();
    let files = ["large.jpg", "grey.png", "data/test/red/000.png"];
    let set = ImageSet {
        classes: vec![String::new()],
        samples: files
            .iter()
            .map(|file| Sample::new(Source::File(folder.path(file)), 0))
            .collect(),
    };
    let preprocess = run.config().data.preprocess(&architecture);
    let pipeline = Pipeline::memory();
    let images = set
        .prepare(&preprocess, StoredSize::Fitted, &pipeline)
        .unwrap();
    let network = run.network(3, false).unwrap();
    let predicted = call(
        &folder,
        typed("--run run --json --top-k 9 large.jpg grey.png data/test/red/000.png"),
        b"",
    );
    let predicted = predicted.ok().json();
    for (index, file) in files.iter().enumerate() {
        let batch = images
            .batch(
                &[index],
                &architecture.normalization,
                &burn::tensor::Device::flex(),
            )
            .unwrap();
        let logits: Vec<f64> = network
            .forward(batch.images)
            .into_data()
            .iter::<f64>()
            .collect();
        let powers: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
        let sum: f64 = powers.iter().sum();
        let mut wanted: Vec<(f64, &str)> = powers
            .iter()
            .zip(&classes)
            .map(|(power, class)| (power / sum, class.as_str()))
            .collect();
        wanted.sort_by(|a, b| b.0.total_cmp(&a.0));
        let top = predicted[index]["top"].as_array().unwrap();
        assert_eq!(top.len(), 3);
        for (found, (probability, class)) in top.iter().zip(&wanted) {
            assert_eq!(found["class"], *class, "{file}");
            let found = found["probability"].as_f64().unwrap();
            assert!(
                (found - probability).abs() < 1e-6,
                "{file}: {found} {probability}"
            );
        }
        let sum: f64 = top
            .iter()
            .map(|one| one["probability"].as_f64().unwrap())
            .sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert_eq!(predicted[index]["class"], top[0]["class"]);
        assert_eq!(predicted[index]["probability"], top[0]["probability"]);
    }
}

#[test]
fn each_form_has_the_same_content() {
    let folder = trained();
    let args = "--run run data/test/red/000.png data/test/green/001.png";
    let json = folder.run(&format!("predict --json --top-k 2 {args}")).ok();
    let json = json.json();
    let top = |image: usize, rank: usize| {
        let one = &json[image]["top"][rank];
        let probability = one["probability"].as_f64().unwrap();
        #[allow(clippy::cast_possible_truncation)]
        (
            one["class"].as_str().unwrap().to_owned(),
            probability as f32,
        )
    };
    assert_eq!(top(0, 0).0, "red");
    assert_eq!(json[0]["top"].as_array().unwrap().len(), 2);
    let of = |form: &str, k: usize| {
        folder
            .run(&format!("predict --format {form} --top-k {k} {args}"))
            .ok()
            .stdout()
    };
    let csv = |image: usize, rank: usize| {
        let (class, probability) = top(image, rank);
        format!("{class},{probability}")
    };
    let [first, second] = ["data/test/red/000.png", "data/test/green/001.png"];
    assert_eq!(
        of("csv", 2),
        format!(
            "path,class,probability,class_2,probability_2\n{first},{},{}\n{second},{},{}\n",
            csv(0, 0),
            csv(0, 1),
            csv(1, 0),
            csv(1, 1)
        )
    );
    let text = |image: usize, rank: usize| {
        let (class, probability) = top(image, rank);
        format!("{class} ({:.1} %)", 100.0 * probability)
    };
    assert_eq!(
        of("text", 1),
        format!("{first}: {}\n{second}: {}\n", text(0, 0), text(1, 0))
    );
    assert_eq!(
        of("text", 2).lines().next().unwrap(),
        format!("{first}: {}, {}", text(0, 0), text(0, 1))
    );
    let table = of("table", 1);
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows[0], "  prob.  class  image");
    let (_, probability) = top(0, 0);
    assert_eq!(
        rows[1],
        format!("{:>5.1} %  red    {first}", 100.0 * probability)
    );
    assert_eq!(rows.len(), 3);
    let lines = of("jsonl", 2);
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(Value::from(lines), json);
    // The document is laid out as before, and one class needs no list.
    let one = of("json", 1);
    let value: Value = serde_json::from_str(&one).unwrap();
    assert!(value[0]["top"].is_null());
    assert!(one.starts_with("[\n  {\n    \"path\": \"data/test/red/000.png\",\n    \"class\": "));
    assert!(one.ends_with("\n  }\n]\n") && one.contains("\n  },\n  {\n"));
}

#[test]
fn file_names_of_any_kind_come_through() {
    let folder = trained();
    let picture = folder.path("data/test/red/000.png");
    let odd = folder.path("odd");
    std::fs::create_dir(&odd).unwrap();
    let names: [&[u8]; 4] = [
        b"a, \"b\".png",
        b"c\nd.png",
        b"e\xff\xfe.png",
        "\u{1b}[31mé.png".as_bytes(),
    ];
    for name in names {
        std::fs::copy(&picture, odd.join(OsStr::from_bytes(name))).unwrap();
    }
    let found = call(&folder, typed("--run run --format csv odd"), b"").ok();
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    let mut wanted = b"path,class,probability\n".to_vec();
    let own = folder.run("predict --run run --format csv data/test/red/000.png");
    let own = own.ok().stdout();
    // Copies of one picture have one answer.
    let answer = own.lines().nth(1).unwrap().split_once(',').unwrap().1;
    for name in sorted {
        let quoted = name.iter().any(|byte| b",\"\n".contains(byte));
        let cell: Vec<u8> = [b"odd/", name].concat();
        if quoted {
            wanted.push(b'"');
            for byte in cell {
                wanted.push(byte);
                if byte == b'"' {
                    wanted.push(b'"');
                }
            }
            wanted.push(b'"');
        } else {
            wanted.extend(cell);
        }
        wanted.extend(format!(",{answer}\n").bytes());
    }
    assert_eq!(
        String::from_utf8_lossy(&found.0.stdout),
        String::from_utf8_lossy(&wanted)
    );
    assert_eq!(found.0.stdout, wanted);

    // Listed on stdin and typed.
    let list: Vec<u8> = names
        .iter()
        .flat_map(|name| [b"odd/", *name, b"\0"].concat())
        .collect();
    let listed = call(&folder, typed("--run run --format csv -0 -"), &list).ok();
    assert_eq!(listed.0.stdout.len(), wanted.len());
    let mut args: Vec<OsString> = typed("--run run --json")
        .iter()
        .map(OsString::from)
        .collect();
    args.push(OsString::from_vec([b"odd/", names[2]].concat()));
    args.push("odd/e*.png".into());
    let typed = call(&folder, &args, b"").ok();
    assert_eq!(typed.json()[0]["path"], "odd/e\u{fffd}\u{fffd}.png");
    assert_eq!(typed.json()[1], typed.json()[0]);
    // Nothing reaches a terminal that is not text.
    let text = folder.run("predict --run run odd").ok().stdout();
    assert!(
        !text.contains('\u{1b}') && text.contains(r"\x1b[31mé.png"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_read_is_reported_in_one_line_each_and_the_rest_is_answered() {
    let folder = trained();
    let good = folder.path("data/test/red/000.png");
    let bytes = std::fs::read(&good).unwrap();
    std::fs::create_dir(folder.path("many")).unwrap();
    let total = 300;
    for index in 0..total {
        let path = folder.path(&format!("many/{index:03}.png"));
        match index % 9 {
            0 => std::fs::write(path, "no picture").unwrap(),
            3 => std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
            6 => std::fs::write(path, "").unwrap(),
            _ => std::fs::hard_link(&good, path).unwrap(),
        }
    }
    let outcome = folder.run("predict --run run --format csv many nowhere.png no*thing.png");
    assert_eq!(outcome.code(), 1);
    let rows = outcome.stdout();
    let wanted: Vec<String> = (0..total)
        .filter(|index| index % 3 != 0)
        .map(|index| format!("many/{index:03}.png"))
        .collect();
    let found: Vec<&str> = rows
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(found, wanted);
    let said = outcome.stderr();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 102 + 2, "{said}");
    for (line, index) in lines.iter().zip((0..total).step_by(3)) {
        assert!(line.contains(&format!("many/{index:03}.png")), "{line}");
    }
    assert!(lines[100].contains("nowhere.png"), "{}", lines[100]);
    assert_eq!(lines[101], "no file fits `no*thing.png`");
    assert!(lines[102].starts_with("302 images in "), "{}", lines[102]);
    assert_eq!(
        lines[103],
        "error: 102 of 302 images could not be classified"
    );
    // As JSON, an image that cannot be read has its error in place of a class.
    let found = folder.run("predict --run run --format jsonl many/000.png many/001.png");
    let found = found.stdout();
    let lines: Vec<Value> = found
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines[0]["error"].as_str().unwrap().contains("000.png") && lines[0]["class"].is_null());
    assert!(lines[1]["error"].is_null() && lines[1]["class"] == "red");
    // Nothing at all.
    std::fs::create_dir(folder.path("empty")).unwrap();
    std::fs::write(folder.path("empty/a.txt"), "").unwrap();
    let outcome = folder.run("predict --run run empty");
    let said = line(&outcome, 1);
    assert_eq!(said, "error: these paths hold no images");
    assert!(
        outcome
            .stderr()
            .starts_with("1 file is left out of folders")
    );
}

#[test]
fn wrong_calls_are_one_clear_line_and_nothing_is_written() {
    let folder = trained();
    let photo = "data/test/red/000.png";
    for (args, wanted) in [
        (
            format!("--run run --null {photo}"),
            "--null is for a list on stdin: give - as a path",
        ),
        ("--run run - -".to_owned(), "- stands for the list on stdin"),
        (format!("--run run --top-k 0 {photo}"), "--top-k"),
        (format!("--run run --batch-size 0 {photo}"), "--batch-size"),
        (format!("--run run --workers 0 {photo}"), "--workers"),
        (format!("--run run --tta crops {photo}"), "none, flip"),
        (
            format!("--run run --json --format csv {photo}"),
            "cannot be used with",
        ),
        (
            format!("--run run --format xml {photo}"),
            "table, text, csv, jsonl, json",
        ),
        (
            format!("--run run --run run --save-features f {photo}"),
            "--save-features is for one --run",
        ),
        (
            format!("--run run --save-features data {photo}"),
            "`data` is a folder",
        ),
        ("--run run".to_owned(), "<PATH>"),
        (photo.to_owned(), "--run"),
    ] {
        let outcome = call(&folder, typed(&args), b"");
        let said = outcome.stderr();
        assert_eq!(outcome.code(), 2, "{args}: {said}");
        assert!(said.contains(wanted), "{args}: {said}");
        assert!(outcome.stdout().is_empty() && !folder.exists("f"));
    }
    let outcome = folder.run(&format!(
        "predict --run run --save-features no/where {photo}"
    ));
    let said = line(&outcome, 1);
    assert!(said.starts_with("error: cannot write no/where: "), "{said}");
    assert!(outcome.stdout().is_empty());
}

#[test]
fn it_ends_when_nobody_reads_its_answers_any_more() {
    let folder = trained();
    let program = env!("CARGO_BIN_EXE_finetune-under-test");
    // The list has no end.
    let script = format!(
        "yes data/test/red/000.png | {{ {program} predict --run run -; echo $? > code; }} | head -n 2"
    );
    let shell = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path(""))
        .env("FINETUNE_CACHE", folder.path("cache"))
        .output()
        .unwrap();
    let said = String::from_utf8(shell.stdout).unwrap();
    assert_eq!(said.lines().count(), 2, "{said}");
    let code = std::fs::read_to_string(folder.path("code")).unwrap();
    assert_eq!(code, "0\n");
}

#[test]
fn answers_come_while_the_list_goes_on() {
    let folder = trained();
    let mut child = start(&folder, typed("--run run -"));
    let mut pipe = child.stdin.take().unwrap();
    let mut answers =
        std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    for class in ["red", "green", "blue"] {
        writeln!(pipe, "data/test/{class}/000.png").unwrap();
        let answer = answers.next().unwrap().unwrap();
        assert!(
            answer.starts_with(&format!("data/test/{class}/000.png: ")),
            "{answer}"
        );
    }
    drop(pipe);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(answers.next().is_none());
}
