//! The commands around training: `init`, `doctor`, `cache`, `completions`, `man`; and how much is said.

#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::process::Command;

use util::{Folder, line, names};

const TRAIN: &str = "train --method linear --data data --epochs 2 --image-size 16";

#[test]
fn the_settings_of_init_train_and_compare() {
    let folder = Folder::colors();
    let said = folder.run("init").ok().stdout();
    assert!(
        said.starts_with("finetune.toml: 2 classes, 16 training images"),
        "{said}"
    );
    let text = std::fs::read_to_string(folder.path("finetune.toml")).unwrap();
    for wanted in [
        "\ndata = \"data\"\n",
        // The pictures have 16 pixels.
        "\nimage_size = 32\n",
        "\nmodel = \"resnet8-64\"\n",
        // 16 images.
        "\nbatch_size = 8\n",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // Comments are wrapped.
    let words = text.replace("\n#", "");
    for wanted in [
        "`green` 8, `red` 8",
        "0 for validation, 8 for testing",
        "from 16 to 16 pixels",
    ] {
        assert!(words.contains(wanted), "{wanted}: {text}");
    }
    folder
        .run("train --config finetune.toml --epochs 1 --ui none --out run")
        .ok();
    let config = &folder.json("run/config.json")["runs"][0];
    assert_eq!(config["data"]["image_size"], 32);
    assert_eq!(config["recipe"]["batch_size"], 8);
    let compare = "-q compare --config finetune.toml --methods linear,knn --epochs 1 --out both";
    folder.run(compare).ok();
    assert_eq!(
        folder.json("both/report.json")["runs"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    // Every line that is commented out can be set.
    let lines: Vec<&str> = text.lines().collect();
    let settings = lines.iter().filter_map(|line| line.strip_prefix("# "));
    let settings: Vec<&str> = settings
        .filter(|line| {
            line.split_once(" = ")
                .is_some_and(|(key, _)| !key.contains(' '))
        })
        .collect();
    assert!(settings.len() >= 6, "{settings:?}");
    for setting in settings {
        let call = match setting.split(' ').next().unwrap() {
            "methods" => "compare",
            "seeds" => "compare --methods linear",
            _ => "train",
        };
        let text = format!("data = \"data\"\n{setting}\n");
        std::fs::write(folder.path("one.toml"), text).unwrap();
        let call = format!("{call} --epochs 1 --config one.toml --dry-run --ui none");
        let outcome = folder.run(&call);
        if setting.starts_with("group_by") {
            // These pictures have no groups.
            assert!(line(&outcome, 2).contains("no file name matches it"));
        } else {
            outcome.ok();
        }
    }
}

#[test]
fn init_overwrites_nothing_and_asks_for_a_folder_if_it_must() {
    let folder = Folder::colors();
    std::fs::write(folder.path("finetune.toml"), "mine").unwrap();
    let refused = line(&folder.run("init data"), 2);
    assert!(
        refused.contains("`finetune.toml` exists already"),
        "{refused}"
    );
    assert_eq!(
        std::fs::read(folder.path("finetune.toml")).unwrap(),
        b"mine"
    );
    folder
        .class("other/a", [1, 2, 3], 4)
        .class("other/b", [200, 2, 3], 4);
    let refused = line(&folder.run("init --out new.toml"), 2);
    assert!(refused.contains("name one of `data`, `other`"), "{refused}");
    assert!(line(&folder.run("init nowhere --out new.toml"), 2).contains("nowhere"));
    // Runs would be among the images.
    assert!(line(&folder.run("init . --out new.toml"), 2).contains("folder above"));
    assert!(!folder.exists("new.toml"));
    folder.run("init other --out new.toml").ok();
    // No folder of images at all.
    let empty = Folder::new();
    std::fs::create_dir(empty.path("empty")).unwrap();
    assert!(line(&empty.run("init"), 2).contains("finetune init FOLDER"));
}

#[test]
fn init_suggests_the_network_for_photographs_if_its_weights_are_here() {
    let folder = Folder::colors();
    let at = "cache/weights/timm/mobilenetv2_100.ra_in1k";
    std::fs::create_dir_all(folder.path(at)).unwrap();
    std::fs::write(folder.path(at).join("model.safetensors"), "weights").unwrap();
    folder.run("init data").ok();
    let text = std::fs::read_to_string(folder.path("finetune.toml")).unwrap();
    assert!(text.contains("\nmodel = \"mobilenet_v2\"\n"), "{text}");
    assert!(text.contains("\nimage_size = 128\n"), "{text}");
}

#[test]
fn doctor_says_what_this_machine_offers() {
    let folder = Folder::new();
    let health = folder.run("doctor --json").ok().json();
    let processor = &health["processor"];
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(processor["cores"], cores);
    assert!(processor["products_per_second"].as_f64().unwrap() > 1e8);
    let memory = &health["memory"];
    assert!(memory["free"].as_u64().unwrap() > 0);
    assert!(memory["total"].as_u64().unwrap() >= 1 << 20);
    let cpu = &health["devices"][0];
    assert_eq!(
        (cpu["name"].as_str(), cpu["works"].as_bool()),
        (Some("cpu"), Some(true))
    );
    let gpu = &health["devices"][1];
    if !cfg!(feature = "wgpu") {
        assert!(
            gpu["reason"].as_str().unwrap().contains("--features wgpu"),
            "{gpu}"
        );
    }
    let expected = folder.path("cache").display().to_string();
    assert_eq!(health["cache"]["path"].as_str(), Some(expected.as_str()));
    assert!(health["runs"]["free"].as_u64().unwrap() > 0);
    assert_eq!(
        health["problems"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["serious"] == true)
            .count(),
        0
    );
    // It leaves nothing behind.
    assert!(names(&folder.path("")).is_empty());
    let limited = folder.run_in(
        "doctor",
        &[("FINETUNE_SIMD", "portable"), ("RAYON_NUM_THREADS", "64")],
    );
    let said = limited.ok().stdout();
    assert!(said.contains("portable kernels"), "{said}");
    assert!(said.contains("unset RAYON_NUM_THREADS"), "{said}");
    if processor["instruction_set"] != "portable" {
        assert!(said.contains("unset FINETUNE_SIMD"), "{said}");
    }
}

#[test]
fn doctor_fails_if_a_command_would() {
    let folder = Folder::new();
    std::fs::write(folder.path("file"), "").unwrap();
    let below = folder.path("file/below").display().to_string();
    for (variable, remedy) in [
        ("FINETUNE_CACHE", "set FINETUNE_CACHE to another folder"),
        ("TMPDIR", "set TMPDIR to another folder"),
    ] {
        let ill = folder.run_in("doctor", &[(variable, &below)]);
        assert_eq!(ill.code(), 1);
        assert!(ill.stdout().contains(remedy), "{}", ill.stdout());
        assert_eq!(ill.stderr(), "error: 1 problem makes commands fail\n");
    }
    let ill = folder.run("doctor --out file/runs --json");
    assert_eq!(ill.code(), 1);
    assert_eq!(ill.json()["problems"][0]["serious"], true);
}

#[test]
fn what_is_kept_is_listed_and_removed_by_parts() {
    let folder = Folder::colors();
    let hub = folder.path("hub").display().to_string();
    let run = |args: &str| folder.run_in(args, &[("HF_HUB_CACHE", hub.as_str())]);
    let bytes = |args: &str| run(args).ok().json()["bytes"].as_u64().unwrap();
    assert_eq!(bytes("cache --json"), 0);
    run(&format!("{TRAIN} --cache disk --ui none --out run")).ok();
    for (name, size) in [
        ("cache/chapter-signs-v1.safetensors", 2000),
        ("cache/weights/timm/some/model.safetensors", 300),
        ("hub/models--timm--other/blobs/abc", 40),
    ] {
        std::fs::create_dir_all(folder.path(name).parent().unwrap()).unwrap();
        std::fs::write(folder.path(name), vec![0; size]).unwrap();
    }
    let listed = run("cache --json").ok().json();
    let sizes: Vec<u64> = (listed["parts"].as_array().unwrap().iter())
        .map(|part| part["bytes"].as_u64().unwrap())
        .collect();
    let images: u64 = names(&folder.path("cache/images"))
        .iter()
        .map(|name| {
            folder
                .path("cache/images")
                .join(name)
                .metadata()
                .unwrap()
                .len()
        })
        .sum();
    // Training images and test images of 16×16 pixels, at least.
    assert!(images >= (16 + 8) * 16 * 16 * 3, "{images}");
    assert_eq!(sizes, [images, 2000, 300, 40]);
    let said = run("cache").ok().stdout();
    assert!(
        said.contains("timm/other") && said.contains("chapter-signs-v1"),
        "{said}"
    );

    // Without `--yes`, nothing is removed.
    assert_eq!(bytes("cache clean --json"), images + 2000);
    assert!(
        run("cache clean")
            .ok()
            .stdout()
            .contains("would be freed; remove it with --yes")
    );
    assert_eq!(bytes("cache --json"), images + 2340);
    assert_eq!(bytes("cache clean images --yes --json"), images);
    assert_eq!(bytes("cache --json"), 2340);
    assert_eq!(bytes("cache clean --yes --json"), 2000);
    // What others put there or use goes only if it is named.
    assert_eq!(bytes("cache clean placed hub --yes --json"), 340);
    assert_eq!(bytes("cache --json"), 0);
    assert!(!folder.exists("hub/models--timm--other"));
    assert_eq!(run("cache clean everything").code(), 2);
}

#[test]
fn shells_complete_commands_and_flags() {
    let folder = Folder::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = folder.run(&format!("completions {shell}")).ok().stdout();
        for word in ["compare", "lora-rank", "checkpoint-seconds"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let script = folder.run("completions bash").ok().stdout();
    std::fs::write(folder.path("finetune.bash"), script).unwrap();
    // What bash offers after `finetune train --lora-r`.
    let ask = "source ./finetune.bash; COMP_WORDS=(finetune train --lora-r); COMP_CWORD=2; \
               _finetune finetune --lora-r train; echo \"${COMPREPLY[@]}\"";
    let bash = Command::new("bash")
        .args(["-c", ask])
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(bash.stdout).unwrap().trim(),
        "--lora-rank"
    );
    assert_eq!(folder.run("completions tcsh").code(), 2);
}

#[test]
fn there_is_a_manual_page_per_command() {
    let folder = Folder::new();
    folder.run("man --out pages").ok();
    let pages = names(&folder.path("pages"));
    for page in [
        "finetune.1",
        "finetune-train.1",
        "finetune-data-check.1",
        "finetune-cache-clean.1",
    ] {
        assert!(pages.iter().any(|name| name == page), "{page}: {pages:?}");
    }
    // The hidden command has none.
    assert!(
        !pages.iter().any(|name| name == "finetune-run.1"),
        "{pages:?}"
    );
    let text = std::fs::read_to_string(folder.path("pages/finetune-train.1")).unwrap();
    assert!(
        text.contains(".TH") && text.contains("lora\\-rank"),
        "{text}"
    );
    assert!(folder.run("man").ok().stdout().contains(".SH NAME"));
}

#[test]
fn quiet_leaves_out_all_but_results_and_errors_and_verbose_says_more() {
    let folder = Folder::colors();
    let usual = folder.run(&format!("{TRAIN} --out usual")).ok();
    assert!(
        usual.stderr().contains("results: usual"),
        "{}",
        usual.stderr()
    );
    assert!(!usual.stderr().contains("kernels"), "{}", usual.stderr());
    let quiet = folder.run(&format!("{TRAIN} --out quiet -q")).ok();
    assert_eq!(quiet.stderr(), "");
    assert_eq!(
        quiet.stdout().lines().count(),
        usual.stdout().lines().count()
    );
    let refused = line(&folder.run("--quiet train --data nowhere"), 2);
    assert!(refused.contains("nowhere"), "{refused}");
    let verbose = folder
        .run(&format!("-v {TRAIN} --out verbose"))
        .ok()
        .stderr();
    for wanted in [
        "command: ",
        " kernels",
        "reading images: ",
        "testing: ",
        "saving: ",
    ] {
        assert!(verbose.contains(wanted), "{wanted}: {verbose}");
    }
    assert_eq!(folder.run("models -q -v").code(), 2);
}

#[test]
fn the_folder_of_a_run_has_a_log_with_times() {
    let folder = Folder::colors();
    let said = folder
        .run(&format!("{TRAIN} --out run --ui plain"))
        .ok()
        .stderr();
    let text = std::fs::read_to_string(folder.path("run/log.txt")).unwrap();
    let mut last = String::new();
    let mut logged = Vec::new();
    for line in text.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        // 2026-01-31T12:34:56.789+01:00
        assert_eq!((time.len(), &time[10..11]), (29, "T"), "{line}");
        assert!(time[..23] >= *last, "{text}");
        time[..23].clone_into(&mut last);
        logged.push(rest.to_owned());
    }
    assert!(said.lines().count() >= 5, "{said}");
    for line in said.lines() {
        assert!(logged.iter().any(|one| one == line), "{line}: {text}");
    }
    let command = logged
        .iter()
        .find(|line| line.starts_with("command: "))
        .unwrap();
    assert!(
        command.contains("train --method linear --data data"),
        "{command}"
    );

    // Without lines on the terminal, epochs are in the log all the same; a second run begins anew.
    folder.run(&format!("{TRAIN} --out run --force -q")).ok();
    let again = std::fs::read_to_string(folder.path("run/log.txt")).unwrap();
    assert_eq!(again.matches("command: ").count(), 1, "{again}");
    assert!(again.contains("epoch 2/2"), "{again}");
    // What cannot begin leaves no log.
    folder.run(&format!("{TRAIN} --lr nan --out never"));
    assert!(!folder.exists("never"));
}

#[test]
fn no_color_is_respected() {
    let folder = Folder::new();
    let help = |variables: &[(&str, &str)]| folder.run_in("--help", variables).ok().stdout();
    let coloured = [("CLICOLOR_FORCE", "1")];
    assert!(help(&coloured).contains('\u{1b}'));
    assert!(!help(&[coloured[0], ("NO_COLOR", "1")]).contains('\u{1b}'));
    assert!(!help(&[("CLICOLOR", "0")]).contains('\u{1b}'));
    let wrong = folder.run_in("train --epochs many", &[coloured[0], ("NO_COLOR", "1")]);
    assert!(!wrong.stderr().contains('\u{1b}'), "{}", wrong.stderr());
}
