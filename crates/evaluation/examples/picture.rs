//! Makes the README's picture and table from a report:
//! `cargo run --example picture -- runs/…/report.json docs/compare.svg`.

use std::path::PathBuf;

use finetune_evaluation::{Report, markdown, picture};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(report), Some(svg)) = (args.next(), args.next()) else {
        return Err("usage: picture REPORT.json PICTURE.svg".into());
    };
    let report = Report::read(&report)?;
    std::fs::write(svg, picture(&report)?)?;
    println!("{}", markdown(&report));
    Ok(())
}
