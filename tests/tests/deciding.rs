//! What helps to decide: how pictures are fitted and mirrored, groups, the prediction, the
//! recommendation, and reports side by side.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::fmt::Write;

use util::{Folder, line, names};

const SMALL: &str = "--image-size 32 --batch-size 4 --epochs 1";

#[test]
fn pictures_are_fitted_and_mirrored_as_asked_and_it_is_said() {
    let folder = Folder::colors();
    let said = |flags: &str, out: &str| {
        let call = format!("train --data data --method linear {SMALL} --out {out} {flags}");
        folder.run(&call).ok().stderr()
    };
    let cropped = said("--fit crop", "cropped");
    assert!(
        cropped.contains("32×32 pixels (bilinear), normalised"),
        "{cropped}"
    );
    let squashed = said("", "squashed");
    assert!(
        squashed.contains("(bilinear, the whole picture squashed)"),
        "{squashed}"
    );
    let config = folder.json("squashed/config.json");
    assert_eq!(config["runs"][0]["data"]["fit"], "squash");
    // Later commands prepare pictures as the run did: they find the same accuracy.
    let evaluated = folder.run("evaluate --run squashed --json").ok().stdout();
    let evaluated: serde_json::Value = serde_json::from_str(&evaluated).unwrap();
    let accuracy = &folder.json("squashed/report.json")["runs"][0]["accuracy"];
    assert_eq!(evaluated[0]["accuracy"], *accuracy);

    let mirrored = said("--augment light --mirror auto", "mirrored");
    assert!(
        mirrored.contains("mirrored for training, as no name speaks of digits"),
        "{mirrored}"
    );
    let flip = |out: &str| {
        let config = folder.json(&format!("{out}/config.json"));
        config["runs"][0]["recipe"]["augment"]["flip"].clone()
    };
    assert_eq!(flip("mirrored"), true);
    // The report shows what that does to three training images of both classes.
    let samples = |out: &str| {
        let report = folder.json(&format!("{out}/report.json"));
        report["runs"][0]["augmented"].clone()
    };
    assert!(samples("squashed").is_null());
    let shown = samples("mirrored");
    let classes: Vec<_> = (0..3).map(|image| shown[image]["class"].clone()).collect();
    assert_eq!(classes, [0, 1, 0]);
    for image in shown.as_array().unwrap() {
        let pictures = [
            &image["original"],
            &image["augmented"][0],
            &image["augmented"][1],
        ];
        assert!(
            pictures
                .iter()
                .all(|picture| picture.as_str().unwrap().starts_with("/9j/"))
        );
        assert!(pictures[0] != pictures[1] && pictures[1] != pictures[2]);
    }
    let page =
        |out: &str| std::fs::read_to_string(folder.path(&format!("{out}/report.html"))).unwrap();
    let title = "What the augmentation does";
    assert!(page("mirrored").contains(title) && !page("squashed").contains(title));
    for (from, to) in [("red", "1"), ("green", "2")] {
        for part in ["train", "test"] {
            let path = |name: &str| folder.path(&format!("data/{part}/{name}"));
            std::fs::rename(path(from), path(to)).unwrap();
        }
    }
    let digits = said("--augment light --mirror auto", "digits");
    assert!(
        digits.contains("not mirrored for training, because the classes are numbers"),
        "{digits}"
    );
    assert_eq!(flip("digits"), false);
    said("--augment light --mirror on", "anyway");
    assert_eq!(flip("anyway"), true);
}

#[test]
fn images_of_a_group_are_not_divided() {
    let folder = Folder::new();
    for class in ["cow", "hen"] {
        folder.class(&format!("all/{class}"), [90, 200, 30], 24);
        for image in 0..24 {
            let animal = image / 4;
            std::fs::rename(
                folder.path(&format!("all/{class}/{image:03}.png")),
                folder.path(&format!("all/{class}/{class}{animal}_{image}.png")),
            )
            .unwrap();
        }
    }
    let train = format!("train --data all --method linear {SMALL}");
    let said = folder
        .run(&format!(
            "{train} --group-by ^([a-z]+[0-9]+)_ --out by-animal"
        ))
        .ok()
        .stderr();
    assert!(
        said.contains("48 of 48 images are of 12 groups, which are not divided"),
        "{said}"
    );
    // A quarter of six animals is one or two of them.
    let test = folder.json("by-animal/report.json")["dataset"]["test"].clone();
    assert!([8, 12, 16].contains(&test.as_u64().unwrap()), "{test}");
    let none = folder.run(&format!("{train} --group-by goat --out none"));
    let said = line(&none, 2);
    assert!(
        said.contains("--group-by `goat`: no file name matches it"),
        "{said}"
    );
    let wrong = folder.run(&format!("{train} --group-by ( --out none"));
    assert_eq!(wrong.code(), 2);
    assert!(!folder.exists("none"));
    // One group per class cannot be divided.
    let one = folder.run(&format!("{train} --group-by ^([a-z]+) --out none"));
    let said = line(&one, 1);
    assert!(
        said.contains("are of 1 group(s); splitting needs 2 or more"),
        "{said}"
    );
}

#[test]
fn a_column_of_groups_tells_of_leaks() {
    let folder = Folder::colors();
    let mut manifest = "path,label,split,group\n".to_owned();
    for (part, count) in [("train", 8), ("test", 4)] {
        for class in ["red", "green"] {
            for image in 0..count {
                writeln!(
                    manifest,
                    "{part}/{class}/{image:03}.png,{class},{part},{class}{}",
                    image % 6
                )
                .unwrap();
            }
        }
    }
    std::fs::write(folder.path("data/list.csv"), manifest).unwrap();
    let call = format!("train --data data/list.csv --method linear {SMALL} --out run");
    let said = folder.run(&call).ok().stderr();
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "`group` (group)",
        "24 of 24 images are of 12 groups",
        "8 of 8 test images are of groups that are among the training images",
    ] {
        assert!(words.contains(wanted), "{wanted}: {said}");
    }
}

#[test]
fn a_dry_run_predicts_and_writes_nothing() {
    let folder = Folder::colors();
    let call = format!("compare --data data --methods sft,linear --seeds 2 {SMALL} --out run");
    let outcome = folder.run(&format!("{call} --dry-run")).ok();
    let said = outcome.stdout();
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(
        lines[0].starts_with("sft: about ") && lines[0].contains("(2 runs of "),
        "{said}"
    );
    assert!(lines[1].starts_with("linear: about "), "{said}");
    assert!(lines[2].starts_with("together: about "), "{said}");
    assert!(outcome.stderr().contains("2 classes: green, red"));
    assert!(!folder.exists("run"));
    let json = folder
        .run(&format!("{call} --dry-run --json"))
        .ok()
        .stdout();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json[0]["method"], &json[0]["runs"]),
        (&"sft".into(), &2.into())
    );
    assert!(json[1]["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn results_are_listed_and_shown_again_side_by_side() {
    let folder = Folder::colors();
    for (out, methods) in [("runs/a", "sft,linear"), ("runs/b", "lora,bitfit")] {
        let call =
            format!("compare --data data --methods {methods} {SMALL} --prefer size --out {out}");
        folder.run(&call).ok();
    }
    let listed = folder.run("runs").ok().stdout();
    for wanted in [
        "runs/a\n",
        "runs/b\n",
        "resnet8-64 on data: sft ",
        "lora ",
        "bitfit ",
    ] {
        assert!(listed.contains(wanted), "{wanted}: {listed}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&folder.run("runs --json").ok().stdout()).unwrap();
    assert_eq!(json[1]["state"], "finished");
    assert_eq!(json[0]["methods"][1]["name"], "linear");

    assert_eq!(folder.json("runs/a/report.json")["prefer"], "size");
    let outcome = folder.run("report runs/a runs/b --out both.html").ok();
    assert!(
        !outcome.stderr().contains("different test images"),
        "{}",
        outcome.stderr()
    );
    for name in ["a/sft", "a/linear", "b/lora", "b/bitfit"] {
        assert!(outcome.stdout().contains(name), "{}", outcome.stdout());
    }
    let page = std::fs::read_to_string(folder.path("both.html")).unwrap();
    assert!(page.contains("a/sft") && page.contains("Differences"));
    // A folder has the pictures as well.
    folder.run("report runs/a runs/b --out both").ok();
    let files = ["pictures", "report.html", "report.md"];
    assert_eq!(names(&folder.path("both")), files);
    let read = |file: &str| std::fs::read_to_string(folder.path("both").join(file)).unwrap();
    assert_eq!(read("report.html"), page);
    assert!(read("report.md").contains("b/bitfit"));
    assert!(read("pictures/differences.svg").contains("a/sft"));
    let matrix = read("pictures/confusion-b-bitfit.svg");
    assert!(
        matrix.contains("<title>Confusion matrix of b/bitfit: "),
        "{matrix}"
    );
    for (out, wrong) in [
        ("runs/a", "is the folder of a run"),
        ("data/train/red/000.png", "is a file"),
    ] {
        let said = line(&folder.run(&format!("report runs/a runs/b --out {out}")), 2);
        assert!(said.contains(wrong), "{said}");
    }
    // Markdown beside the page, with the same finding.
    let markdown = std::fs::read_to_string(folder.path("runs/a/report.md")).unwrap();
    assert!(
        markdown.starts_with("# Fine-tuning resnet8-64 on `data`"),
        "{markdown}"
    );

    // Another test set is no pair.
    std::fs::remove_file(folder.path("data/test/red/000.png")).unwrap();
    let call = format!("train --data data --method linear {SMALL} --out runs/c");
    folder.run(&call).ok();
    let said = folder.run("report runs/a runs/c").ok().stderr();
    assert!(said.contains("different test images"), "{said}");
    let none = folder.run("report runs");
    let said = line(&none, 2);
    assert!(said.contains("holds no finished run"), "{said}");
    assert_eq!(folder.run("runs nowhere").code(), 1);
}

#[test]
fn settings_are_chosen_by_validation_images() {
    let folder = Folder::colors();
    let call = "compare --data data --methods linear,lora --tune 4 --seeds 2 --image-size 32 \
                --batch-size 4 --epochs 3";
    let outcome = folder
        .run(&format!("{call} --valid-fraction 0.25 --out run"))
        .ok();
    let said = outcome.stderr();
    for method in ["linear", "lora"] {
        let sentence = format!("{method}: of 4 candidates, learning rate ");
        assert!(said.contains(&sentence), "{said}");
    }
    let report = folder.json("run/report.json");
    let tried = report["tried"].as_array().unwrap();
    // Four candidates for one epoch and two of them for three, for each of two methods.
    assert_eq!(tried.len(), 12);
    let epochs: Vec<_> = tried[..6].iter().map(|one| one["epochs"].clone()).collect();
    assert_eq!(epochs, [1, 1, 1, 1, 3, 3]);
    let chosen = tried.iter().filter(|one| one["chosen"] == true);
    let chosen: Vec<_> = chosen.collect();
    assert_eq!(chosen.len(), 2, "{tried:?}");
    // All seeds of a method have the settings that were chosen.
    for method in ["linear", "lora"] {
        let best = chosen.iter().find(|one| one["method"] == method).unwrap();
        let runs = report["runs"].as_array().unwrap();
        let runs: Vec<_> = runs.iter().filter(|run| run["method"] == method).collect();
        assert_eq!(runs.len(), 2);
        for run in runs {
            let rate = run["settings"]["learning rate"].as_str().unwrap();
            let settings = best["settings"].as_str().unwrap();
            assert!(
                settings.starts_with(&format!("learning rate {rate},")),
                "{settings} {rate}"
            );
        }
    }
    let none = folder.run(&format!("{call} --out none"));
    let said = line(&none, 2);
    assert!(said.contains("--tune needs validation images"), "{said}");
    assert!(!folder.exists("none"));
    assert_eq!(
        folder
            .run(&format!("{call} --out none").replace("--tune 4", "--tune 1"))
            .code(),
        2
    );
}

#[test]
fn a_budget_becomes_epochs() {
    let folder = Folder::colors();
    let call = "compare --data data --methods linear,sft --image-size 32 --batch-size 4";
    folder.run(&format!("{call} --budget 3s --out run")).ok();
    for run in folder.json("run/report.json")["runs"].as_array().unwrap() {
        let epochs = run["epochs"].as_array().unwrap().len();
        let wanted = run["settings"]["epochs"]
            .as_str()
            .unwrap()
            .parse::<usize>()
            .unwrap();
        assert_eq!(epochs, wanted);
        assert!(epochs > 0);
    }
    let short = folder.run(&format!("{call} --budget 1ms --out short"));
    let said = line(&short, 2);
    assert!(
        said.contains("--budget is") && said.contains("for one epoch"),
        "{said}"
    );
    assert!(!folder.exists("short"));
    let wrong = folder.run(&format!("{call} --budget soon --out short"));
    assert_eq!(wrong.code(), 2);
}

#[test]
fn claims_are_judged_on_several_sizes_and_nothing_is_done_twice() {
    let folder = Folder::new();
    folder
        .class("data/train/red", [200, 20, 20], 12)
        .class("data/train/green", [20, 200, 20], 12)
        .class("data/test/red", [190, 10, 10], 4)
        .class("data/test/green", [10, 190, 10], 4);
    let call = format!(
        "compare --data data --claims --methods sft,scratch {SMALL} --seeds 2 --ui none --out claims"
    );
    let page = folder.run(&call).ok().stdout();
    let written = std::fs::read_to_string(folder.path("claims/claims.md")).unwrap();
    assert_eq!(page.trim_end(), written.trim_end());
    let rows = |start: &str| page.lines().filter(|line| line.starts_with(start)).count();
    // All twelve images a class, and ten of them.
    assert_eq!([rows("| 12 |"), rows("| 10 |")], [1, 1], "{page}");
    assert!(
        page.contains("| images a class | sft | scratch |"),
        "{page}"
    );
    // Four claims are about methods that were left out.
    assert_eq!(page.matches("| not measured |").count(), 4, "{page}");
    assert_eq!(names(&folder.path("claims")), ["010", "all", "claims.md"]);

    // What is finished stays as it is; a size that is missing is done again.
    let report = |size: &str| std::fs::read(folder.path("claims").join(size).join("report.json"));
    let before = report("all").unwrap();
    std::fs::remove_dir_all(folder.path("claims/010")).unwrap();
    let again = folder.run(&format!("{call} --json")).ok();
    assert_eq!(report("all").unwrap(), before);
    assert!(report("010").is_ok());
    assert_eq!(again.json().as_array().unwrap().len(), 6);

    for wrong in ["--train-per-class 5", "--dry-run"] {
        let said = line(&folder.run(&format!("{call} {wrong}")), 2);
        assert!(said.contains("--claims"), "{said}");
    }
}
