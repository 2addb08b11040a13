//! What a command understood, as a block of lines at its start.

use std::collections::BTreeSet;

use finetune::Understood;
use finetune::evaluation::SideBySide;
use finetune::evaluation::format::{count, percent};
use finetune::evaluation::understood::{
    UnderstoodData, UnderstoodMethod, UnderstoodModel, UnderstoodPart, UnderstoodRecipe,
};
use finetune_files::{quoted, shortened, visible};

use super::recipe_line::{counted, number, recipe_line};

/// Columns of the labels, and the blanks after them.
const LABEL: usize = 9;

/// Classes of a part that are counted one by one, if the line has room for them.
const FEW: usize = 8;

/// Characters of class names that are listed.
const NAMES: usize = 122;

/// The block, in lines of at most so many columns as far as words allow.
#[must_use]
pub fn lines(understood: &Understood, columns: usize) -> Vec<String> {
    let mut block = Block {
        columns,
        lines: Vec::new(),
    };
    data(&mut block, &understood.data);
    model(&mut block, &understood.model);
    methods(&mut block, &understood.methods);
    recipes(&mut block, &understood.methods, &understood.seeds);
    if let Some(images) = understood.few {
        let images = number(images);
        block.add(
            "few",
            &format!("afterwards the same with {images} images per class; --few off does without"),
        );
    }
    let threads = counted(understood.threads, "thread");
    let device = match understood.device.as_str() {
        "flex" => "cpu",
        other => other,
    };
    let precision = understood.precision.as_ref();
    let precision = precision.map(|text| format!(", {text}"));
    block.add(
        "device",
        &format!("{device}, {threads}{}", precision.unwrap_or_default()),
    );
    if let Some(SideBySide { runs, threads }) = understood.side_by_side {
        let threads = counted(threads, "thread");
        let more = if runs > understood.threads {
            " (there are fewer threads than runs)"
        } else {
            ""
        };
        block.add("", &format!("{runs} runs at a time, {threads} each{more}"));
    }
    block.add("output", &visible(&understood.out));
    block.lines
}

/// What differs for the same runs on fewer images.
#[must_use]
pub fn lines_of_fewer(understood: &Understood, columns: usize) -> Vec<String> {
    let mut block = Block {
        columns,
        lines: Vec::new(),
    };
    let data = &understood.data;
    let train = data.parts.iter().find(|part| part.name == "train");
    let train = train.map_or_else(String::new, |part| images(part, &data.classes, None));
    let out = visible(&understood.out);
    block.add(
        "few",
        &format!("now the same with fewer images · train {train} · {out}"),
    );
    block.lines
}

/// Lines with labels before them.
struct Block {
    columns: usize,
    lines: Vec<String>,
}

impl Block {
    /// Adds a text, broken at blanks; an empty label continues the last one.
    fn add(&mut self, label: &str, text: &str) {
        let mut line = format!("{label:<LABEL$}");
        let mut length = LABEL;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let word_length = word.chars().count();
            if length > LABEL && length + 1 + word_length > self.columns {
                self.lines.push(line);
                line = " ".repeat(LABEL);
                length = LABEL;
            } else if length > LABEL {
                line.push(' ');
                length += 1;
            }
            line.push_str(word);
            length += word_length;
        }
        self.lines.push(line);
    }
}

fn data(block: &mut Block, data: &UnderstoodData) {
    let names = names(&data.classes);
    let mut source = visible(&shortened(&data.path, NAMES)).into_owned();
    if !data.layout.is_empty() {
        source.push_str(" · ");
        source.push_str(&visible(&data.layout));
    }
    block.add("data", &source);
    block.add(
        "",
        &format!("{} classes: {names}", number(data.classes.len())),
    );
    for part in &data.parts {
        let asked = data.train_per_class.filter(|_| part.name == "train");
        block.add(
            "",
            &format!("{} {}", part.name, images(part, &data.classes, asked)),
        );
    }
    for note in &data.notes {
        block.add("", &visible(note));
    }
}

/// The names of classes, as many as there is room for.
fn names(classes: &[String]) -> String {
    let mut shown: Vec<String> = Vec::new();
    let mut length = 0;
    for class in classes {
        let name = name(class);
        length += name.chars().count() + 2;
        if length > NAMES {
            break;
        }
        shown.push(name);
    }
    match classes.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} … and {} more", shown.join(", "), number(more)),
    }
}

/// The name of a class, in quotes if its ends would not be seen otherwise.
fn name(class: &str) -> String {
    let short = shortened(class, 40);
    let quoted = quoted(&short);
    let plain = quoted.trim_matches('`');
    if plain == class && plain.trim() == plain && !plain.contains([',', '·']) && !plain.is_empty()
    {
        plain.to_owned()
    } else {
        quoted
    }
}

/// The number of images of a part, and how they are distributed over the classes.
fn images(part: &UnderstoodPart, classes: &[String], asked: Option<usize>) -> String {
    let all = part.images();
    let (Some(least), Some(most)) = (part.per_class.iter().min(), part.per_class.iter().max())
    else {
        return number(all);
    };
    let asked = asked.filter(|asked| most < asked);
    let asked = asked.map_or_else(String::new, |asked| {
        format!(" ({} asked for)", number(asked))
    });
    let named = part.per_class.iter().zip(classes);
    if least == most {
        return format!("{}, {} of each class{asked}", number(all), number(*least));
    }
    if part.per_class.len() <= FEW {
        let counts: Vec<String> = named
            .map(|(images, class)| format!("{} {}", number(*images), name(class)))
            .collect();
        return format!("{}: {}{asked}", number(all), counts.join(", "));
    }
    let mut sorted = part.per_class.clone();
    sorted.sort_unstable();
    let of = |wanted: &usize| {
        let mut named = part.per_class.iter().zip(classes);
        let class = named.find(|(images, _)| *images == wanted);
        class.map_or_else(String::new, |(_, class)| name(class))
    };
    format!(
        "{}, from {} of {} to {} of {}, median {}{asked}",
        number(all),
        number(*least),
        of(least),
        number(*most),
        of(most),
        number(sorted[sorted.len() / 2])
    )
}

fn model(block: &mut Block, model: &UnderstoodModel) {
    let weights = match model.weights.as_deref() {
        None => "random weights".to_owned(),
        Some("shipped") => "its own weights, part of this program".to_owned(),
        Some(file) => format!("weights from {}", visible(&shortened(file, NAMES))),
    };
    block.add(
        "model",
        &format!(
            "{} · {} parameters · {weights}",
            model.name,
            count(model.parameters)
        ),
    );
    for note in &model.notes {
        block.add("", note);
    }
    let side = model.image_size;
    let three = |values: &[f32; 3]| {
        let distinct: BTreeSet<String> = values.iter().map(f32::to_string).collect();
        if distinct.len() == 1 {
            values[0].to_string()
        } else {
            values.map(|value| value.to_string()).join(" ")
        }
    };
    let fit = match model.fit.as_str() {
        "squash" => ", the whole picture squashed".to_owned(),
        "pad" => ", the whole picture on black".to_owned(),
        _ if model.crop < 1.0 => format!(", centre crop of {}", percent(f64::from(model.crop))),
        _ => String::new(),
    };
    block.add(
        "images",
        &format!(
            "{side}×{side} pixels ({}{fit}), normalised with mean {} and std {}",
            model.filter,
            three(&model.mean),
            three(&model.std)
        ),
    );
}

fn methods(block: &mut Block, methods: &[UnderstoodMethod]) {
    let widest = methods
        .iter()
        .map(|method| method.name.chars().count())
        .max();
    let widest = widest.unwrap_or(0);
    for (index, method) in methods.iter().enumerate() {
        let label = match (index, methods.len()) {
            (0, 1) => "method",
            (0, _) => "methods",
            _ => "",
        };
        let all = count(method.total_parameters);
        let trained = match method.trainable_parameters {
            0 => format!("none of {all} parameters trains"),
            trained if trained == method.total_parameters => format!("all {all} parameters train"),
            trained => format!(
                "{} of {all} parameters train ({})",
                count(trained),
                share(method)
            ),
        };
        let how = match (&method.fit, method.learning_rate) {
            (Some(plan), _) => plan.clone(),
            (None, Some(rate)) => format!("learning rate {rate}"),
            (None, None) => "learning rate by a range test".to_owned(),
        };
        let pad = "\u{a0}".repeat(widest - method.name.chars().count());
        block.add(
            label,
            &format!("{}{pad}\u{a0} {trained} · {how}", method.name),
        );
    }
    for line in &mut block.lines {
        *line = line.replace('\u{a0}', " ");
    }
}

#[allow(clippy::cast_precision_loss)]
fn share(method: &UnderstoodMethod) -> String {
    let all = method.total_parameters.max(1) as f64;
    percent(method.trainable_parameters as f64 / all)
}

/// The recipes, each with the methods that it is for unless there is one for all.
fn recipes(block: &mut Block, methods: &[UnderstoodMethod], seeds: &[u64]) {
    let mut distinct: Vec<(&UnderstoodRecipe, Vec<&str>)> = Vec::new();
    for method in methods {
        match distinct
            .iter_mut()
            .find(|(recipe, _)| **recipe == method.recipe)
        {
            Some((_, names)) => names.push(&method.name),
            None => distinct.push((&method.recipe, vec![&method.name])),
        }
    }
    let several = distinct.len() > 1;
    for (index, (recipe, names)) in distinct.into_iter().enumerate() {
        let label = if index == 0 { "recipe" } else { "" };
        let whose = if several {
            format!("{}: ", names.join(", "))
        } else {
            String::new()
        };
        block.add(label, &format!("{whose}{}", recipe_line(recipe)));
    }
    let seeds = match seeds {
        [] => return,
        [seed] => format!("seed {seed}"),
        [first, .., last] => format!("seeds {first} to {last}"),
    };
    block.add("", &seeds);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(classes: &[(&str, usize)]) -> Understood {
        let part = |name: &str, divisor: usize| UnderstoodPart {
            name: name.to_owned(),
            per_class: classes.iter().map(|(_, images)| images / divisor).collect(),
        };
        let method = |name: &str, trainable, rate| UnderstoodMethod {
            name: name.to_owned(),
            trainable_parameters: trainable,
            total_parameters: 78_042,
            learning_rate: rate,
            recipe: UnderstoodRecipe {
                epochs: 12,
                steps_per_epoch: 47,
                batch_size: 32,
                accumulate: 1,
                optimizer: "adam".to_owned(),
                schedule: "one-cycle".to_owned(),
                ..UnderstoodRecipe::default()
            },
            ..UnderstoodMethod::default()
        };
        Understood {
            data: UnderstoodData {
                path: "animals".to_owned(),
                layout: "folder of classes".to_owned(),
                classes: classes
                    .iter()
                    .map(|(class, _)| (*class).to_owned())
                    .collect(),
                parts: vec![part("train", 1), part("test", 10)],
                train_per_class: Some(1000),
                ..UnderstoodData::default()
            },
            model: UnderstoodModel {
                name: "resnet8-64".to_owned(),
                weights: Some("shipped".to_owned()),
                parameters: 78_042,
                image_size: 64,
                mean: [0.5; 3],
                std: [0.5; 3],
                filter: "bilinear".to_owned(),
                crop: 1.0,
                ..UnderstoodModel::default()
            },
            methods: vec![
                method("sft", 78_042, Some(0.002)),
                method("linear", 325, None),
            ],
            seeds: vec![0, 1, 2],
            device: "flex".to_owned(),
            threads: 2,
            side_by_side: None,
            precision: None,
            few: Some(25),
            out: "runs/r".to_owned(),
        }
    }

    #[test]
    fn the_block_is_aligned_and_fits_into_80_columns() {
        let block = lines(&understood(&[("cat", 20), ("dog ", 20), ("bird", 20)]), 80);
        let block = block.join("\n").replace('\u{202f}', " ");
        assert_eq!(
            block,
            "data     animals · folder of classes\n         \
             3 classes: cat, `dog `, bird\n         \
             train 60, 20 of each class (1 000 asked for)\n         \
             test 6, 2 of each class\n\
             model    resnet8-64 · 78 042 parameters · its own weights, part of this program\n\
             images   64×64 pixels (bilinear), normalised with mean 0.5 and std 0.5\n\
             methods  sft     all 78 042 parameters train · learning rate 0.002\n         \
             linear  325 of 78 042 parameters train (0.42 %) · learning rate by a\n         \
             range test\n\
             recipe   12 epochs of 47 steps · batches of 32 · adam · one-cycle schedule · no\n         \
             augmentation\n         \
             seeds 0 to 2\n\
             few      afterwards the same with 25 images per class; --few off does without\n\
             device   cpu, 2 threads\n\
             output   runs/r"
        );
        let wide = lines(&understood(&[("cat", 20), ("dog ", 20), ("bird", 20)]), 110);
        let wide = wide.join("\n").replace('\u{202f}', " ");
        for line in [
            "(0.42 %) · learning rate by a range test\n",
            "one-cycle schedule · no augmentation\n",
        ] {
            assert!(wide.contains(line), "{wide}");
        }
    }

    #[test]
    fn methods_without_steps_say_what_is_computed() {
        let mut with_knn = understood(&[("cat", 20), ("dog", 20)]);
        with_knn.methods.push(UnderstoodMethod {
            name: "knn".to_owned(),
            total_parameters: 78_042,
            fit: Some("the 5 nearest training images vote".to_owned()),
            recipe: UnderstoodRecipe {
                batch_size: 32,
                ..UnderstoodRecipe::default()
            },
            ..UnderstoodMethod::default()
        });
        let block = lines(&with_knn, 100).join("\n").replace('\u{202f}', " ");
        for line in [
            "knn     none of 78 042 parameters trains · the 5 nearest training images vote\n",
            "knn: features of all images computed once · batches of 32 · no augmentation\n",
        ] {
            assert!(block.contains(line), "{block}");
        }
    }

    #[test]
    fn of_fewer_images_only_what_differs_is_said() {
        let mut fewer = understood(&[("cat", 20), ("dog", 20)]);
        fewer.out = "runs/r/few-20".to_owned();
        assert_eq!(
            lines_of_fewer(&fewer, 100),
            [
                "few      now the same with fewer images · train 40, 20 of each class · runs/r/few-20"
            ]
        );
    }

    #[test]
    fn many_classes_are_summed_up() {
        let names: Vec<String> = (0..300).map(|index| format!("class {index}")).collect();
        let classes: Vec<(&str, usize)> = names
            .iter()
            .map(String::as_str)
            .zip((0..300).map(|i| 50 + i))
            .collect();
        let block = lines(&understood(&classes), 80);
        assert!(
            block.iter().all(|line| line.chars().count() <= 80),
            "{block:#?}"
        );
        assert!(block.len() < 20, "{block:#?}");
        let block = block.join(" ");
        assert!(block.contains("300 classes: class 0, class 1, "), "{block}");
        assert!(
            block.contains("from 50 of class 0 to 349 of class 299, median 200"),
            "{block}"
        );
        let unequal = lines(&understood(&[("cat", 20), ("dog", 30)]), 80).join("\n");
        assert!(unequal.contains("train 50: 20 cat, 30 dog"), "{unequal}");
    }
}
