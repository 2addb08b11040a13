//! Files and settings as only a broken disk, a broken program or an attacker makes them, each given to
//! the command: it says what is wrong on a line and exits with 1 or 2, or it understands the input. It
//! neither panics nor aborts nor hangs, and memory stays bounded.
//!
//! `FINETUNE_CASE=NAME` runs the cases whose names contain NAME only.

#![cfg(unix)]
#![allow(
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    missing_docs,
    unreachable_pub
)]

#[path = "../util/mod.rs"]
mod util;

mod adapters;
mod bytes;
mod case;
mod images;
mod manifests;
mod settings;
mod weights;

use case::{Base, Case};

/// Runs the cases on a few threads and fails with all that went wrong.
fn try_all(base: &Base, cases: &[Case]) {
    let wanted = std::env::var("FINETUNE_CASE").unwrap_or_default();
    let cases: Vec<&Case> = cases
        .iter()
        .filter(|case| case.name.contains(&wanted))
        .collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let wrong = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { return };
                    if let Err(error) = case.check(base) {
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("{}: {error}", case.name));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn hostile_images_are_one_line() {
    try_all(&Base::new(), &images::cases());
}

#[test]
fn hostile_manifests_and_containers_are_one_line() {
    try_all(&Base::new(), &manifests::cases());
}

#[test]
fn hostile_weights_are_one_line() {
    let base = Base::with_run();
    try_all(&base, &weights::cases(&base));
}

#[test]
fn hostile_adapters_are_one_line() {
    let base = Base::with_run();
    try_all(&base, &adapters::cases(&base));
}

#[test]
fn hostile_settings_are_one_line() {
    try_all(&Base::new(), &settings::cases());
}

#[test]
fn there_are_at_least_300_cases() {
    let base = Base::with_run();
    let count = images::cases().len()
        + manifests::cases().len()
        + weights::cases(&base).len()
        + adapters::cases(&base).len()
        + settings::cases().len();
    println!("{count} cases");
    assert!(count >= 300, "{count}");
}
