//! `knn` and `probe`: methods that are computed at once from frozen features.

#![allow(clippy::unwrap_used, missing_docs)]

mod util;

use std::cell::Cell;
use std::ops::ControlFlow;

use finetune::comparison::{Comparison, InProcess};
use finetune::evaluation::{Report, Run};
use finetune::methods::catalogue::{KnnConfig, ProbeConfig};
use finetune::methods::state::from_safetensors;
use finetune::methods::{Method, Values};
use finetune::training::Step;
use finetune::{Error, FinishedRun, Observer, RunConfig};
use util::{Folder, line, names};

/// A few real photographs.
const SIGNS: &str = "--train-per-class 12 --few off --threads 2 --ui none";

const COLORS: &str = "--data data --image-size 16 --ui none";

fn report(folder: &Folder, out: &str) -> Report {
    Report::read(&folder.path(out).join("report.json")).unwrap()
}

fn run<'a>(report: &'a Report, method: &str) -> &'a Run {
    let mut runs = report.runs.iter();
    runs.find(|run| run.method == method).unwrap()
}

#[test]
fn they_are_rows_of_a_comparison_and_reload_exactly() {
    let folder = Folder::new();
    let call = format!("compare --methods knn,probe,linear --epochs 2 {SIGNS}");
    let shown = folder.run(&format!("{call} --out out")).ok().stdout();
    // No steps, so no time per step.
    for method in ["knn ", "probe "] {
        let row = shown
            .lines()
            .find(|line| line.trim_start().starts_with(method));
        assert!(row.unwrap().contains(" – "), "{shown}");
    }
    let mut files = names(&folder.path("out"));
    files.retain(|name| name.ends_with(".safetensors"));
    let wanted = [
        "adapter_knn.safetensors",
        "adapter_linear.safetensors",
        "adapter_probe.safetensors",
        "finetuned_model_linear.safetensors",
        "finetuned_model_probe.safetensors",
    ];
    assert_eq!(files, wanted);
    assert_eq!(names(&folder.path("out/events")), ["linear"]);

    let found = report(&folder, "out");
    let (knn, probe) = (run(&found, "knn"), run(&found, "probe"));
    // 64 features and a bias for each of five classes.
    assert_eq!(
        (knn.trainable_parameters, probe.trainable_parameters),
        (0, 65 * 5)
    );
    for run in [knn, probe] {
        assert!(run.accuracy > 0.7, "{} {}", run.method, run.accuracy);
        assert!(run.epochs.is_empty() && run.steps == 0 && !run.stopped);
        assert!(run.train_seconds > 0.0 && run.peak_memory_bytes.is_none_or(|bytes| bytes > 0));
        for none in ["epochs", "learning rate", "schedule", "optimizer"] {
            assert!(!run.settings.contains_key(none), "{:?}", run.settings);
        }
    }
    let k: usize = knn.settings["k"].parse().unwrap();
    assert!([1, 3, 5, 10, 20, 50].contains(&k));
    assert!(knn.settings["leave-one-out"].ends_with(" %"));
    let c: f64 = probe.settings["c"].parse().unwrap();
    assert!((1e-6..=1e6).contains(&c));
    assert!(probe.settings["cross-validation"].ends_with(" % in 5 folds"));

    // Features and classes of the 60 training images, and how many of them vote.
    let bytes = std::fs::read(folder.path("out/adapter_knn.safetensors")).unwrap();
    let size = knn.artifact_bytes;
    assert_eq!(size, bytes.len() as u64);
    let stored = from_safetensors(&bytes).unwrap();
    let tensors = stored
        .iter()
        .map(|tensor| (tensor.path.as_str(), tensor.shape.as_slice()));
    assert_eq!(
        tensors.collect::<Vec<_>>(),
        [
            ("linear.weight.adapter.index", &[60, 64][..]),
            ("linear.weight.adapter.labels", &[60][..]),
            ("linear.weight.adapter.voting", &[1][..]),
        ]
    );
    assert_eq!(
        stored[2].values,
        Values::Indices(vec![u32::try_from(k).unwrap()])
    );
    let Values::Indices(labels) = &stored[1].values else {
        panic!("{:?}", stored[1])
    };
    for class in 0..5 {
        assert_eq!(labels.iter().filter(|label| **label == class).count(), 12);
    }

    // From their files, they give the same confusion matrices, the probe from both of its files.
    for (call, methods) in [
        ("evaluate --run out --json", &["knn", "probe", "linear"][..]),
        (
            "evaluate --run out --json --merged --method probe",
            &["probe"][..],
        ),
    ] {
        let again = folder.run(call).ok().json();
        for (method, again) in methods.iter().zip(again.as_array().unwrap()) {
            assert_eq!(again["method"], *method);
            let wanted = serde_json::json!(run(&found, method).confusion);
            assert_eq!(again["confusion"], wanted, "{method}");
        }
    }

    // The same once more, two at the same time, to the byte.
    folder.run(&format!("{call} --jobs 2 --out again")).ok();
    let again = report(&folder, "again");
    assert_eq!(found.without_times().runs, again.without_times().runs);
    for method in ["knn", "probe"] {
        let hashes = |report: &Report| run(report, method).artifact_sha256.clone();
        assert!(!hashes(&found).is_empty());
        assert_eq!(hashes(&found), hashes(&again), "{method}");
    }
    // Repeated from its configuration.
    folder
        .run("compare --config out/config.json --ui none --out repeated")
        .ok();
    let repeated = report(&folder, "repeated");
    assert_eq!(found.without_times().runs, repeated.without_times().runs);
}

#[test]
fn each_class_is_predicted_and_a_probe_is_exported_but_no_knn() {
    let folder = Folder::colors();
    folder
        .run(&format!("compare --methods knn,probe {COLORS} --out out"))
        .ok();
    let found = report(&folder, "out");
    for method in ["knn", "probe"] {
        assert!(
            (run(&found, method).accuracy - 1.0).abs() < 1e-12,
            "{method}"
        );
        let images = "data/test/red/000.png data/test/green/001.png";
        let call = format!("predict --run out --method {method} --json {images}");
        let predicted = folder.run(&call).ok().json();
        assert_eq!(predicted[0]["class"], "red");
        assert_eq!(predicted[1]["class"], "green");
        let share = predicted[0]["probability"].as_f64().unwrap();
        assert!(share > 0.5 && share < 1.0, "{method} {share}");
    }
    folder
        .run("export --run out --method probe --out probe.pth")
        .ok();
    folder
        .run("merge --run out --method probe --out probe.safetensors")
        .ok();
    let read = |file: &str| std::fs::read(folder.path(file)).unwrap();
    assert_eq!(
        read("probe.safetensors"),
        read("out/finetuned_model_probe.safetensors")
    );
    for call in [
        "export --out x.pth",
        "export --out x.safetensors",
        "export --format peft --out x",
        "merge --out x",
    ] {
        let said = line(&folder.run(&format!("{call} --run out --method knn")), 2);
        assert_eq!(
            said,
            "error: knn has no network to export: it answers by the features of the training images; export \
             another method, such as probe"
        );
        assert!(!folder.exists("x"));
    }
    let merged = folder
        .run("evaluate --run out --method knn --merged")
        .stderr();
    let reason = "knn answers by the features of the training images, which cannot be merged";
    assert!(merged.contains(reason), "{merged}");
    let epoch = line(
        &folder.run("evaluate --run out --method probe --epoch 1"),
        2,
    );
    assert!(epoch.contains("has no checkpoint of epoch 1"), "{epoch}");

    // A file of a run that was changed is not taken for it.
    let adapter = folder.path("out/adapter_knn.safetensors");
    let mut bytes = std::fs::read(&adapter).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&adapter, bytes).unwrap();
    let changed = folder.run("evaluate --run out --method knn");
    assert_eq!(changed.code(), 1, "{}", changed.stderr());
}

#[test]
fn settings_of_training_steps_are_rejected_unless_another_method_has_them() {
    let folder = Folder::colors();
    for flags in [
        "--epochs 3",
        "--lr 0.1",
        "--lr auto",
        "--optimizer sgd",
        "--schedule cosine",
        "--weight-decay 0.1",
        "--label-smoothing 0.1",
        "--ema 0.9",
        "--patience 3",
        "--keep best",
        "--recipe plain",
        "--budget 10s",
        "--tune 3",
        "--augment standard",
        "--mixup 0.2",
        "--sampling balanced",
        "--modules-to-save layer3",
        "--batch-norm adapt",
        "--feature-cache off",
        "--feature-dtype f16",
        "--keep-checkpoints 2",
        "--gradient-checkpointing",
        "--drop-last on",
    ] {
        for method in ["knn", "probe"] {
            let call = format!("train --method {method} {COLORS} {flags} --out out");
            let said = line(&folder.run(&call), 2);
            let flag = flags.split(' ').next().unwrap();
            let wanted = format!(
                "error: {flag} is about training in steps, and there is none with {method}; leave it out, or \
                 choose another method"
            );
            assert_eq!(said, wanted);
            assert!(!folder.exists("out"), "{flags}");
        }
    }
    let weights = format!("{COLORS} --class-weights balanced --out weighted");
    let said = line(&folder.run(&format!("train --method knn {weights}")), 2);
    assert!(
        said.contains("--class-weights is about a loss, and there is none with knn"),
        "{said}"
    );
    folder.run(&format!("train --method probe {weights}")).ok();
    let shown = report(&folder, "weighted").runs[0].settings.clone();
    assert_eq!(shown["class weights"], "balanced");
    let said = line(
        &folder.run(&format!("train --method knn --targets all {COLORS}")),
        2,
    );
    assert!(
        said.contains("--targets chooses layers for adapters"),
        "{said}"
    );

    // Beside a method that has them, they are for that method.
    let call =
        "compare --methods knn,linear --epochs 1 --lr 0.2 --augment light --class-weights balanced";
    folder.run(&format!("{call} {COLORS} --out both")).ok();
    let config = folder.json("both/config.json");
    let rate = |run: usize| {
        config["runs"][run]["recipe"]["learning_rate"]
            .as_f64()
            .unwrap()
    };
    assert!(
        (rate(1) - 0.2).abs() < 1e-12 && (rate(0) - 0.2).abs() > 1e-3,
        "{config}"
    );
    let augment = |run: usize| config["runs"][run]["recipe"]["augment"].clone();
    assert_ne!(augment(0), augment(1));
    // A configuration that asks for what there is not is rejected as well.
    let mut run = RunConfig::new(Method::Knn(KnnConfig::default())).image_size(32);
    run.check().unwrap();
    run.auto_rate = true;
    let error = run.check().unwrap_err();
    assert!(
        matches!(&error, Error::Usage(said) if said.starts_with("--lr is auto")),
        "{error}"
    );
}

#[test]
fn bad_input_is_rejected_before_anything_is_written() {
    let folder = Folder::colors();
    let small = "--data data --image-size 16 --ui none --out out";
    let says = |call: &str, code: i32, message: &str| {
        let said = line(&folder.run(&format!("{call} {small}")), code);
        assert!(said.contains(message), "{call}: {said}");
        assert!(!folder.exists("out"), "{call}");
    };
    let more = "knn.k is 17, but must be at most the number of training images, 16";
    says("train --method knn --set knn.k=17", 2, more);
    says("compare --methods probe,knn --set knn.k=17", 2, more);
    says(
        "train --method knn --set knn.k=0",
        2,
        "k is 0, but must be at least 1",
    );
    says(
        "train --method knn --set knn.k=-1",
        2,
        "--set `knn.k=-1`: invalid value",
    );
    says(
        "train --method knn --set knn.temperature=0",
        2,
        "temperature is 0, but must be above 0",
    );
    says(
        "train --method probe --set probe.c=0",
        2,
        "c is 0, but must be above 0",
    );
    says(
        "train --method probe --set probe.folds=1",
        2,
        "folds is 1, but must be from 2 to 100",
    );
    says(
        "train --method knn --set knn.n=3",
        2,
        "knn has no setting `n`",
    );
    says(
        "train --method probe --set knn.k=3",
        2,
        "is a setting of knn, but the method is probe",
    );
    folder
        .class("one/train/cat", [9; 3], 2)
        .class("one/test/cat", [9; 3], 2);
    for method in ["knn", "probe"] {
        let call = format!("train --method {method} --data one --ui none --out out");
        let said = line(&folder.run(&call), 1);
        assert!(
            said.contains("`one/train` holds only the class `cat`"),
            "{said}"
        );
    }
    // That many images are few, but enough.
    for call in [
        "knn --set knn.k=16",
        "probe --set probe.c=0.5 --set probe.standardize=false",
    ] {
        folder
            .run(&format!("train --method {call} {small} --force"))
            .ok();
        let found = report(&folder, "out");
        let settings = &found.runs[0].settings;
        assert!(
            !settings.contains_key("leave-one-out") && !settings.contains_key("cross-validation")
        );
    }
}

#[test]
fn one_image_of_each_class_is_enough() {
    let folder = Folder::new();
    for (name, color) in [
        ("red", [200, 20, 20]),
        ("green", [20, 200, 20]),
        ("blue", [20, 20, 200]),
    ] {
        folder.class(&format!("data/train/{name}"), color, 1).class(
            &format!("data/test/{name}"),
            color,
            3,
        );
    }
    let shown = folder
        .run(&format!("compare --methods knn,probe {COLORS} --out out"))
        .ok()
        .stderr();
    let found = report(&folder, "out");
    let reason = "1, as no class has two images to choose by";
    for (method, setting) in [("knn", "k"), ("probe", "c")] {
        let run = run(&found, method);
        assert!(
            (run.accuracy - 1.0).abs() < 1e-12,
            "{method} {}",
            run.accuracy
        );
        assert_eq!(run.settings[setting], reason);
        assert!(
            shown.contains(&format!("{method}: {setting} {reason}")),
            "{shown}"
        );
    }
}

#[test]
fn seeds_and_fewer_images_are_compared_as_for_other_methods() {
    let folder = Folder::new();
    let call =
        "compare --methods knn,probe --seeds 2 --train-per-class 8 --few 3 --threads 2 --ui none";
    folder.run(&format!("{call} --out out")).ok();
    let found = report(&folder, "out");
    let runs: Vec<_> = found
        .runs
        .iter()
        .map(|run| (run.method.as_str(), run.seed))
        .collect();
    assert_eq!(runs, [("knn", 0), ("probe", 0), ("knn", 1), ("probe", 1)]);
    // Other seeds choose other images.
    assert_ne!(found.runs[0].artifact_sha256, found.runs[2].artifact_sha256);
    let few = found.few.unwrap();
    assert_eq!((few.per_class, few.runs.len(), few.failed.len()), (3, 4, 0));
    assert!(folder.exists("out/few-3/adapter_knn_seed1.safetensors"));
    // 3 of each class are 15, and one is left out.
    assert!(few.runs.iter().all(|run| {
        run.settings
            .get("k")
            .is_none_or(|k| k.parse::<usize>().unwrap() < 15)
    }));
}

#[test]
fn what_is_going_to_be_done_is_said_and_predicted() {
    let folder = Folder::colors();
    let train = "train --data data --image-size 16 --ui plain --threads 1";
    let said = folder
        .run(&format!("{train} --method probe --dry-run"))
        .ok();
    assert!(
        said.stdout().contains("     probe: about "),
        "{}",
        said.stdout()
    );
    for part in [
        "logistic regression, C chosen by 5-fold cross-validation",
        "features of all images computed once · batches of 32 · no augmentation",
    ] {
        let shown = said
            .stderr()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(shown.contains(part), "{shown}");
    }
    let tune =
        "compare --methods probe,linear --data data --image-size 16 --valid-fraction 0.25 --tune 2";
    folder
        .run(&format!("{tune} --epochs 1 --ui none --out tuned"))
        .ok();
    let tried = report(&folder, "tuned").tried;
    assert!(!tried.is_empty() && tried.iter().all(|tried| tried.method == "linear"));

    let shown = folder
        .run("inspect --method knn --model resnet8-64 --classes 5")
        .ok()
        .stdout();
    assert!(shown.contains("resnet8-64 with knn"), "{shown}");
    let json = folder
        .run("inspect --method probe --model resnet8-64 --classes 5 --json")
        .ok()
        .json();
    assert_eq!(json["trainable_parameters"], 65 * 5);
    let json = folder
        .run("inspect --method knn --model resnet8-64 --classes 5 --json")
        .ok()
        .json();
    assert_eq!(json["trainable_parameters"], 0);
    let methods = folder.run("inspect").ok().stdout();
    assert!(
        methods.contains("knn           k=null temperature=0.07"),
        "{methods}"
    );
    assert!(
        methods.contains("probe         c=null folds=5 standardize=true"),
        "{methods}"
    );
}

/// Stops the run that takes the first step, or the one that shows so many images.
#[derive(Default)]
struct Stop {
    images: Option<usize>,
    now: Cell<bool>,
    notes: Vec<String>,
}

impl finetune::training::Observer for Stop {
    fn on_features(&mut self, done: usize, _: usize) -> ControlFlow<()> {
        if self.images.is_some_and(|images| done >= images) {
            self.now.set(true);
        }
        ControlFlow::Continue(())
    }

    fn on_step(&mut self, _: &Step) -> ControlFlow<()> {
        self.now.set(true);
        ControlFlow::Continue(())
    }
}

impl Observer for Stop {
    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    fn stop_requested(&self) -> bool {
        self.now.get()
    }
}

#[test]
fn an_interrupted_comparison_resumes_with_the_same_results() {
    let folder = tempfile::tempdir().unwrap();
    let methods = [
        Method::Knn(KnnConfig::default()),
        Method::Linear,
        Method::Probe(ProbeConfig::default()),
    ];
    let runs = methods.map(|method| {
        let run = RunConfig::new(method).image_size(16).train_per_class(4);
        let epochs = if run.method.fits() { 1 } else { 2 };
        run.epochs(epochs).batch_size(5)
    });
    let adapter = |out: &str, method: &str| {
        let file = folder
            .path()
            .join(out)
            .join(format!("adapter_{method}.safetensors"));
        std::fs::read(file).unwrap()
    };
    let whole = Comparison::new(folder.path().join("whole"), runs.clone());
    let whole = whole.run(&mut InProcess, &mut ()).unwrap();
    for (out, images, done) in [
        ("features", Some(10), &[][..]),
        ("steps", None, &["knn", "linear"][..]),
    ] {
        let path = folder.path().join(out);
        let mut stop = Stop {
            images,
            ..Stop::default()
        };
        let stopped = Comparison::new(&path, runs.clone())
            .run(&mut InProcess, &mut stop)
            .unwrap();
        assert!(stopped.interrupted);
        let names: Vec<&str> = stopped.runs.iter().map(|run| run.method.as_str()).collect();
        assert_eq!(names, done, "{out}");
        let resumed = Comparison::resume(&path)
            .unwrap()
            .run(&mut InProcess, &mut ())
            .unwrap();
        assert_eq!(
            resumed.without_times().runs,
            whole.without_times().runs,
            "{out}"
        );
        for method in ["knn", "linear", "probe"] {
            assert!(
                adapter(out, method) == adapter("whole", method),
                "{out} {method}"
            );
        }
    }
    let reloaded = FinishedRun::open(&folder.path().join("whole"), Some("knn"), None).unwrap();
    assert_eq!(reloaded.stopped(), None);
}
