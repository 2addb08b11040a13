//! The forms in which predictions are printed, an image after the other.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use finetune::folder::Answer;
use finetune_files::visible;
use serde::Serialize;

use crate::flags::PredictFormat;
use crate::terminal::output::{say, say_csv, say_document};

/// The widest column of classes, characters; longer names stick out.
const WIDEST: usize = 40;

/// Prints predictions as they come.
#[derive(Debug)]
pub(super) struct Predictions<'a> {
    format: PredictFormat,
    classes: &'a [String],
    /// Classes to show per image.
    count: usize,
    begun: bool,
    /// A part of a JSON document that may need a comma behind it.
    pending: Option<String>,
}

/// What is known about an image file.
#[derive(Serialize)]
struct Predicted<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    top: Vec<Class<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Clone, Copy, Serialize)]
struct Class<'a> {
    class: &'a str,
    probability: f32,
}

impl<'a> Predictions<'a> {
    /// Predictions of the `count` most probable classes, or of all if there are fewer.
    pub(super) fn new(format: PredictFormat, classes: &'a [String], count: usize) -> Self {
        Self {
            format,
            classes,
            count: count.min(classes.len()),
            begun: false,
            pending: None,
        }
    }

    /// Prints what is known about an image: the answer, or why there is none.
    ///
    /// # Errors
    ///
    /// Stdout cannot be written.
    pub(super) fn print(&mut self, path: &Path, outcome: Result<&Answer, &str>) -> Result<()> {
        let top = |answer: &Answer| -> Vec<Class<'a>> {
            let top = answer.top(self.count).into_iter();
            top.map(|(class, probability)| Class {
                class: &self.classes[class],
                probability,
            })
            .collect()
        };
        let top = outcome.map(top);
        match self.format {
            PredictFormat::Json | PredictFormat::Jsonl => {
                self.begin()?;
                let top = top.as_deref();
                let best = top.ok().and_then(<[_]>::first);
                let all = top.ok().filter(|_| self.count > 1);
                let one = Predicted {
                    path: &path.display().to_string(),
                    class: best.map(|best| best.class),
                    probability: best.map(|best| best.probability),
                    top: all.unwrap_or_default().to_vec(),
                    error: top.err().copied(),
                };
                if self.format == PredictFormat::Jsonl {
                    return say_document(&serde_json::to_string(&one)?);
                }
                let pretty = serde_json::to_string_pretty(&one)?.replace('\n', "\n  ");
                match self.pending.replace(format!("  {pretty}")) {
                    Some(before) => say_document(&format!("{before},")),
                    None => Ok(()),
                }
            }
            _ => match top {
                Ok(top) => {
                    self.begin()?;
                    self.row(path, &top)
                }
                Err(_) => Ok(()),
            },
        }
    }

    /// Prints what comes after the last image.
    ///
    /// # Errors
    ///
    /// Stdout cannot be written.
    pub(super) fn end(mut self) -> Result<()> {
        match (self.format, self.pending.take()) {
            (PredictFormat::Csv, _) => self.begin(),
            (PredictFormat::Json, Some(last)) => {
                say_document(&last)?;
                say_document("]")
            }
            _ => Ok(()),
        }
    }

    /// Prints what comes before the first image.
    fn begin(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        match self.format {
            PredictFormat::Text | PredictFormat::Jsonl => Ok(()),
            PredictFormat::Json => say_document("["),
            PredictFormat::Csv => {
                let mut names = vec!["path".to_owned()];
                for rank in 1..=self.count {
                    let number = if rank == 1 {
                        String::new()
                    } else {
                        format!("_{rank}")
                    };
                    names.push(format!("class{number}"));
                    names.push(format!("probability{number}"));
                }
                say_csv(names.iter().map(String::as_bytes))
            }
            PredictFormat::Table => {
                let mut head = String::new();
                for _ in 0..self.count {
                    let _ = write!(head, "{:>7}  {:<2$}  ", "prob.", "class", self.width());
                }
                say(&format!("{head}image"))
            }
        }
    }

    fn row(&self, path: &Path, top: &[Class<'_>]) -> Result<()> {
        match self.format {
            PredictFormat::Csv => {
                let numbers: Vec<String> =
                    top.iter().map(|one| one.probability.to_string()).collect();
                let mut cells = vec![path.as_os_str().as_encoded_bytes()];
                for (one, number) in top.iter().zip(&numbers) {
                    cells.extend([one.class.as_bytes(), number.as_bytes()]);
                }
                say_csv(cells)
            }
            PredictFormat::Table => {
                let mut row = String::new();
                for one in top {
                    let (share, class) = (100.0 * one.probability, visible(one.class));
                    let _ = write!(row, "{share:>5.1} %  {class:<0$}  ", self.width());
                }
                say(&format!("{row}{}", visible(&path.display().to_string())))
            }
            _ => {
                let shares: Vec<String> = top
                    .iter()
                    .map(|one| format!("{} ({:.1} %)", one.class, 100.0 * one.probability))
                    .collect();
                say(&format!("{}: {}", path.display(), shares.join(", ")))
            }
        }
    }

    /// Characters of a column of classes.
    fn width(&self) -> usize {
        let names = self.classes.iter();
        let longest = names.map(|class| visible(class).chars().count()).max();
        longest.unwrap_or(0).clamp("class".len(), WIDEST)
    }
}
