//! Comparisons that the library runs in the process of the test.

#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;

use finetune::comparison::{Comparison, InProcess};
use finetune::evaluation::Report;
use finetune::methods::{LoraConfig, Method};
use finetune::training::Step;
use finetune::{Error, FinishedRun, Observer, RunConfig};

fn runs() -> [RunConfig; 2] {
    [Method::Lora(LoraConfig::default()), Method::Linear].map(|method| {
        let mut run = RunConfig::new(method)
            .image_size(16)
            .train_per_class(4)
            .epochs(3)
            .batch_size(5);
        run.checkpoint_seconds = 0;
        run
    })
}

/// Requests a stop after a number of steps, and records the notes.
#[derive(Default)]
struct Stop {
    after: usize,
    steps: Cell<usize>,
    notes: Vec<String>,
    decoded: Vec<(usize, usize)>,
}

impl finetune::training::Observer for Stop {
    fn on_step(&mut self, _: &Step) -> ControlFlow<()> {
        self.steps.set(self.steps.get() + 1);
        ControlFlow::Continue(())
    }
}

impl Observer for Stop {
    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    fn on_images(&mut self, decoded: usize, images: usize) {
        self.decoded.push((decoded, images));
    }

    fn stop_requested(&self) -> bool {
        self.steps.get() >= self.after
    }
}

fn adapter(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("adapter_lora.safetensors")).unwrap()
}

#[test]
fn a_comparison_that_an_observer_stops_resumes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let report = Comparison::new(&whole, runs())
        .run(&mut InProcess, &mut ())
        .unwrap();
    assert_eq!((report.runs.len(), report.failed.len()), (2, 0));
    assert!(!report.runs[0].stopped && report.runs[0].startup_seconds.is_some());

    // Stops in the second of three epochs of the first run.
    let mut stop = Stop {
        after: 6,
        ..Stop::default()
    };
    let stopped = Comparison::new(&broken, runs())
        .run(&mut InProcess, &mut stop)
        .unwrap();
    // Once before the first run and once for it: 4 training images of each of 5 classes, 75 validation
    // images, and 250 test images, of which 128 are decoded at once.
    let decoded = [20, 95, 223, 345].map(|decoded| (decoded, 345));
    assert_eq!(stop.decoded, [decoded, decoded].concat());
    assert!(stopped.interrupted && stopped.runs[0].stopped);
    assert_eq!((stopped.runs.len(), stopped.runs[0].steps), (1, 6));
    assert!(Report::read(&broken.join("report.json")).unwrap().runs[0].stopped);

    let resumed = Comparison::resume(&broken)
        .unwrap()
        .run(&mut InProcess, &mut ())
        .unwrap();
    assert_eq!(resumed.without_times().runs, report.without_times().runs);
    assert_eq!(adapter(&broken), adapter(&whole));
    let finished = Comparison::resume(&broken).unwrap_err();
    assert!(matches!(finished, Error::Usage(_)), "{finished}");

    let run = FinishedRun::open(&broken, Some("lora"), None).unwrap();
    let images = run.test_images(None, &mut |_, _| ()).unwrap().images;
    let confusion = run.evaluate(&images, false).unwrap();
    assert_eq!(confusion.rows(), report.runs[0].confusion);
}

#[test]
fn a_failed_run_is_reported_as_an_error_and_the_other_runs_finish() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let [first, second] = runs();
    let report = Comparison::new(&out, [first.learning_rate(1e30), second])
        .run(&mut InProcess, &mut ())
        .unwrap();
    assert_eq!((report.runs.len(), report.failed.len()), (1, 1));
    let error = &report.failed[0].error;
    assert!(error.starts_with("the loss became "), "{error}");
    // Resuming the comparison repeats the failed run.
    assert!(out.join("plan.json").exists());

    let alone = folder.path().join("alone");
    let [first, _] = runs();
    let error = finetune::train(&first.learning_rate(1e30), &alone, &mut ()).unwrap_err();
    assert!(error.to_string().starts_with("the loss became "), "{error}");
}
