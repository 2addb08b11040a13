//! `predict`: the class that each image shows.

use std::io::{BufReader, IsTerminal};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use finetune::error::one_line;
use finetune::folder::{
    Answering, FeatureFile, ImagePaths, PathList, Predicted, Predictor, Streaming,
};

use super::predictions::Predictions;
use super::selected::selected;
use crate::flags::{PredictArgs, PredictFormat, SelectedRun};
use crate::terminal::bar::Bar;
use crate::terminal::exit::Usage;
use crate::terminal::heartbeat::Heartbeat;
use crate::terminal::output::{alert, is_unread, note};

/// What lines about progress begin with.
const TITLE: &str = "predict";

/// `finetune predict`.
///
/// # Errors
///
/// The folder holds no finished run, or an image cannot be decoded; the others are classified first.
pub fn predict(args: &PredictArgs) -> Result<()> {
    let mut paths = paths(args)?;
    let runs = args.runs.iter().map(|run| {
        selected(&SelectedRun {
            run: run.clone(),
            selection: args.selection.clone(),
            weights: args.weights.clone(),
        })
    });
    let runs: Vec<_> = runs.collect::<Result<_>>()?;
    let file = match (&args.shown.save_features, runs.as_slice()) {
        (None, _) => None,
        (Some(file), [run]) => Some(FeatureFile::create(file, &run.label())?),
        (Some(_), _) => {
            let reason = "--save-features is for one --run: each model has features of its own";
            return Err(Usage(reason.to_owned()).into());
        }
    };
    for text in runs.iter().filter_map(finetune::FinishedRun::stopped) {
        note(&text);
    }
    let predictor = Predictor::ensemble(&runs)?;
    let mut work = Work {
        predictions: Predictions::new(format(args), predictor.classes(), args.shown.top_k.get()),
        features: file,
        progress: Progress::new(),
        failed: 0,
    };
    let streaming = Streaming {
        answering: Answering {
            views: args.computed.tta.views(),
            features: work.features.is_some(),
        },
        batch_size: args.computed.batch_size.get(),
        workers: args.computed.workers.map(usize::from),
    };
    let mut outcome = Ok(());
    predictor.stream(&mut paths, streaming, &mut |predicted| {
        outcome = work.take(predicted);
        // Features are written even if nobody reads the rest.
        if outcome.is_err() || (is_unread() && work.features.is_none()) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    outcome?;
    work.end(args.shown.save_features.as_deref(), paths.others())
}

/// The images that are asked for.
fn paths(args: &PredictArgs) -> Result<ImagePaths> {
    let lists = args.paths.iter().filter(|path| *path == Path::new("-"));
    let reason = match lists.count() {
        0 if args.null => "--null is for a list on stdin: give - as a path",
        0 | 1 => "",
        _ => "- stands for the list on stdin, which can be read only once",
    };
    if !reason.is_empty() {
        return Err(Usage(reason.to_owned()).into());
    }
    let list = PathList {
        reader: Box::new(BufReader::new(std::io::stdin())),
        name: "stdin".to_owned(),
        null: args.null,
    };
    Ok(ImagePaths::new(args.paths.clone(), Some(list)))
}

/// The form that is asked for, or that fits where it is printed.
fn format(args: &PredictArgs) -> PredictFormat {
    match args.shown.format {
        Some(format) => format,
        None if args.shown.printed.json => PredictFormat::Json,
        None if std::io::stdout().is_terminal() => PredictFormat::Table,
        None => PredictFormat::Text,
    }
}

/// What is done with each answer.
struct Work<'a> {
    predictions: Predictions<'a>,
    features: Option<FeatureFile>,
    progress: Progress,
    failed: usize,
}

impl Work<'_> {
    fn take(&mut self, Predicted { path, outcome }: Predicted) -> Result<()> {
        self.progress.seen();
        match outcome {
            Ok(answer) => {
                if let (Some(file), Some(features)) = (&mut self.features, answer.features.first())
                {
                    file.push(&path, features)?;
                }
                self.predictions.print(&path, Ok(&answer))
            }
            Err(error) => {
                self.failed += 1;
                let error = one_line(&error);
                alert(&error);
                self.predictions.print(&path, Err(&error))
            }
        }
    }

    fn end(self, features: Option<&Path>, others: usize) -> Result<()> {
        let Self {
            predictions,
            features: file,
            progress,
            failed,
        } = self;
        let images = progress.images;
        let rate = progress.end();
        if images > 0 {
            predictions.end()?;
        }
        if others > 0 {
            note(&format!(
                "{others} {} left out of folders, because their names are not those of images",
                if others == 1 { "file is" } else { "files are" }
            ));
        }
        if images == 0 {
            bail!("these paths hold no images");
        }
        let answered = images - failed;
        if let (Some(file), Some(path)) = (file, features)
            && answered > 0
        {
            file.finish()?;
            note(&format!(
                "features of {answered} images: {}",
                path.display()
            ));
        }
        if images > 1 {
            note(&rate);
        }
        if failed > 0 {
            bail!("{failed} of {images} images could not be classified");
        }
        Ok(())
    }
}

/// How many images have been looked at, and how fast.
struct Progress {
    images: usize,
    since: Instant,
    /// Unless the predictions themselves are seen on the terminal.
    bar: Option<Bar>,
    heartbeat: Option<Heartbeat>,
}

impl Progress {
    fn new() -> Self {
        let seen = std::io::stdout().is_terminal();
        let on_terminal = std::io::stderr().is_terminal();
        let heartbeat = (!seen && !on_terminal).then(|| Heartbeat::new(TITLE));
        if let Some(heartbeat) = &heartbeat {
            heartbeat.does("begins");
        }
        Self {
            images: 0,
            since: Instant::now(),
            bar: (!seen && on_terminal).then(|| Bar::new(TITLE, 0)),
            heartbeat,
        }
    }

    fn seen(&mut self) {
        self.images += 1;
        if let Some(bar) = &mut self.bar {
            let rate = rate(self.images, self.since);
            bar.show(self.images, format!("{} images · {rate}", self.images));
        }
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.continues(format!("{} images", self.images));
        }
    }

    /// Ends the display; returns a line about all images.
    fn end(self) -> String {
        let seconds = self.since.elapsed().as_secs_f64();
        let rate = rate(self.images, self.since);
        format!("{} images in {seconds:.1} s, {rate}", self.images)
    }
}

#[allow(clippy::cast_precision_loss)]
fn rate(images: usize, since: Instant) -> String {
    let rate = images as f64 / since.elapsed().as_secs_f64().max(1e-9);
    format!("{rate:.1} images/s")
}
