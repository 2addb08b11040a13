//! The files that show the results of a folder.

use std::path::Path;

use finetune_evaluation::{Report, charts, html, page, sweep, write_atomically};

use super::names::RunFolder;
use crate::error::Error;

/// Writes `report.json`, `report.html`, `report.md`, `metrics.csv`, the pictures of learning rate range
/// tests and, into a folder of their own, the charts.
///
/// # Errors
///
/// A file cannot be written.
pub fn write_report(report: &Report, folder: &RunFolder) -> Result<(), Error> {
    report.write(folder.path())?;
    write_pages(report, folder)?;
    for run in &report.runs {
        if let Some(picture) = sweep(run)? {
            let file = folder.range_test(&run.method, run.seed);
            write_atomically(&file, picture.file().as_bytes())?;
        }
    }
    Ok(write_atomically(&folder.metrics(), &metrics(report)?)?)
}

/// Writes what people look at, `report.html`, `report.md` and the charts, into a folder, which is made if
/// it does not exist.
///
/// # Errors
///
/// A file cannot be written.
pub fn write_pages(report: &Report, folder: &RunFolder) -> Result<(), Error> {
    let make =
        |path: &Path| std::fs::create_dir_all(path).map_err(Error::io("create the folder", path));
    make(folder.path())?;
    write_atomically(&folder.page(), html(report)?.as_bytes())?;
    write_atomically(&folder.markdown(), page(report).as_bytes())?;
    for chart in charts(report)? {
        make(&folder.charts())?;
        write_atomically(&folder.chart(&chart.name), chart.file().as_bytes())?;
    }
    Ok(())
}

/// `metrics.csv`: a row per epoch.
fn metrics(report: &Report) -> Result<Vec<u8>, Error> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "method",
        "seed",
        "epoch",
        "train_loss",
        "train_accuracy",
        "valid_loss",
        "valid_accuracy",
        "learning_rate",
        "seconds",
        "images_per_second",
        "peak_memory_bytes",
    ])?;
    let optional = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for run in &report.runs {
        for epoch in &run.epochs {
            table.write_record([
                run.method.clone(),
                run.seed.to_string(),
                epoch.epoch.to_string(),
                epoch.train_loss.to_string(),
                epoch.train_accuracy.to_string(),
                optional(epoch.valid_loss),
                optional(epoch.valid_accuracy),
                epoch.learning_rate.to_string(),
                epoch.seconds.to_string(),
                epoch.images_per_second.to_string(),
                epoch
                    .memory_bytes
                    .map_or_else(String::new, |bytes| bytes.to_string()),
            ])?;
        }
    }
    table
        .into_inner()
        .map_err(|error| Error::Csv(error.into_error().into()))
}
