//! TensorBoard's event files, which show a run while it trains.
//!
//! A file is a sequence of records (TFRecord: length, masked CRC-32C of the length, data, masked
//! CRC-32C of the data), each a protobuf message `Event`. Only six of its fields are needed, so the
//! message is encoded by hand.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use finetune_training::{Epoch, Step};

use crate::error::Error;

/// Seconds between writes.
const EVERY: f64 = 2.0;

/// One run's event file.
#[derive(Debug)]
pub(super) struct Events {
    path: PathBuf,
    file: File,
    /// Complete records that are not written yet.
    waiting: Vec<u8>,
    written: Instant,
    step: usize,
}

impl Events {
    /// Starts a file in the run's own folder, which is created if necessary. The run resumes after
    /// `done` steps: steps after that in older files were lost and are done again.
    pub(super) fn create(folder: &Path, done: usize) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
        let time = now();
        let name = format!(
            "events.out.tfevents.{time:010.0}.finetune.{}.{done}",
            std::process::id()
        );
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let mut events = Self {
            path,
            file,
            waiting: Vec::new(),
            written: Instant::now(),
            step: done,
        };
        events.add(&Event::Version);
        if done > 0 {
            events.step = done + 1;
            events.add(&Event::Start);
            events.step = done;
        }
        events.write()?;
        Ok(events)
    }

    /// Adds a step.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), Error> {
        self.step = step.step;
        self.scalars(&[
            ("train/loss", step.loss),
            ("train/accuracy", step.accuracy),
            ("learning_rate", step.learning_rate),
        ]);
        if self.written.elapsed().as_secs_f64() < EVERY {
            return Ok(());
        }
        self.write()
    }

    /// Adds an epoch, at its last step.
    pub(super) fn epoch(&mut self, epoch: &Epoch) -> Result<(), Error> {
        if let (Some(loss), Some(accuracy)) = (epoch.valid_loss, epoch.valid_accuracy) {
            self.scalars(&[("valid/loss", loss), ("valid/accuracy", accuracy)]);
        }
        self.scalars(&[("images_per_second", epoch.images_per_second)]);
        self.write()
    }

    fn scalars(&mut self, scalars: &[(&str, f64)]) {
        self.add(&Event::Scalars(scalars));
    }

    fn add(&mut self, event: &Event<'_>) {
        self.waiting.extend(record(&event.encode(now(), self.step)));
    }

    /// Writes complete records in one call, so that a reader never sees a partial one.
    fn write(&mut self) -> Result<(), Error> {
        self.file
            .write_all(&self.waiting)
            .map_err(Error::io("write", &self.path))?;
        self.waiting.clear();
        self.written = Instant::now();
        Ok(())
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64())
}

/// The messages of a file.
enum Event<'a> {
    /// The first message of a file.
    Version,
    /// A resumed run: TensorBoard drops this step and later ones of older files.
    Start,
    /// Values of a step.
    Scalars(&'a [(&'a str, f64)]),
}

impl Event<'_> {
    /// `Event`: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7.
    fn encode(&self, time: f64, step: usize) -> Vec<u8> {
        let mut event = Vec::new();
        key(&mut event, 1, Wire::Eight);
        event.extend(time.to_le_bytes());
        key(&mut event, 2, Wire::Varint);
        varint(&mut event, step as u64);
        match self {
            Self::Version => bytes(&mut event, 3, b"brain.Event:2"),
            // `SessionLog`: status = 1, of which START is 1.
            Self::Start => bytes(&mut event, 7, &[0x08, 1]),
            Self::Scalars(scalars) => {
                let mut summary = Vec::new();
                for (tag, value) in *scalars {
                    bytes(&mut summary, 1, &scalar(tag, *value));
                }
                bytes(&mut event, 5, &summary);
            }
        }
        event
    }
}

/// `Summary.Value`: tag = 1, simple_value = 2.
#[allow(clippy::cast_possible_truncation)]
fn scalar(tag: &str, value: f64) -> Vec<u8> {
    let mut message = Vec::new();
    bytes(&mut message, 1, tag.as_bytes());
    key(&mut message, 2, Wire::Four);
    message.extend((value as f32).to_le_bytes());
    message
}

/// Protobuf's wire types.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Eight = 1,
    Bytes = 2,
    Four = 5,
}

fn key(message: &mut Vec<u8>, field: u64, wire: Wire) {
    varint(message, field << 3 | wire as u64);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = (value & 0x7f).to_le_bytes();
        value >>= 7;
        if value == 0 {
            message.push(low);
            return;
        }
        message.push(low | 0x80);
    }
}

fn bytes(message: &mut Vec<u8>, field: u64, content: &[u8]) {
    key(message, field, Wire::Bytes);
    varint(message, content.len() as u64);
    message.extend(content);
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [
        &length[..],
        &masked(&length).to_le_bytes(),
        data,
        &masked(data).to_le_bytes(),
    ]
    .concat()
}

/// The checksum of TFRecord.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_agree_with_those_of_tensorboard() {
        // tensorboard 2.21's EventFileWriter wrote this for
        // `Event(wall_time=1.5, file_version="brain.Event:2")`. The step is 0, so it is omitted.
        let written = record(&{
            let mut event = Vec::new();
            key(&mut event, 1, Wire::Eight);
            event.extend(1.5_f64.to_le_bytes());
            bytes(&mut event, 3, b"brain.Event:2");
            event
        });
        assert_eq!(written, RECORD);
        // A step is a varint, and the values are nested messages.
        let event = Event::Scalars(&[("a", 0.5)]).encode(1.5, 300);
        assert_eq!(event, EVENT);
    }

    const RECORD: &[u8] = &[
        24, 0, 0, 0, 0, 0, 0, 0, 163, 127, 75, 34, 9, 0, 0, 0, 0, 0, 0, 248, 63, 26, 13, 98, 114,
        97, 105, 110, 46, 69, 118, 101, 110, 116, 58, 50, 42, 40, 100, 108,
    ];
    const EVENT: &[u8] = &[
        9, 0, 0, 0, 0, 0, 0, 248, 63, 16, 172, 2, 42, 10, 10, 8, 10, 1, 97, 21, 0, 0, 0, 63,
    ];
}
