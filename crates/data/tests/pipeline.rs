//! The batches of a loader with every kind of cache, several workers, augmentation and mixing.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs)]

use std::path::Path;
use std::time::{Duration, SystemTime};

use finetune_data::{
    Augment, Cache, DataError, ImageSet, Images, Loader, OnBadImage, Order, Pipeline, Preprocess,
    Sample, Sampling, Source, StoredSize,
};
use image::{ImageBuffer, Rgb};
use tempfile::TempDir;

/// Writes `count` images of several sizes in two classes.
fn set(folder: &Path, count: u32) -> ImageSet {
    let samples = (0..count).map(|i| {
        let path = folder.join(format!("{i}.png"));
        let picture = ImageBuffer::from_fn(20 + i, 30 - i % 8, |x, y| {
            Rgb([(x * 9 + i) as u8, (y * 7) as u8, (x * y + 31 * i) as u8])
        });
        picture.save(&path).unwrap();
        Sample::new(Source::File(path), (i % 3 == 0).into())
    });
    ImageSet {
        classes: vec!["a".to_owned(), "b".to_owned()],
        samples: samples.collect(),
    }
}

fn pipeline(folder: &TempDir, cache: Cache, workers: usize) -> Pipeline {
    Pipeline {
        cache,
        folder: folder.path().join("cache"),
        workers: Some(workers),
        ..Pipeline::default()
    }
}

const SHUFFLED: Order = Order::Shuffled { seed: 4, epoch: 2 };

fn everything() -> Augment {
    Augment {
        mixup: 0.4,
        cutmix: 1.0,
        hue: 0.1,
        brightness: 0.3,
        ..Augment::strong()
    }
}

/// Returns the values and targets of each image, in the order of the epoch.
fn epoch(
    images: &Images,
    size: usize,
    order: Order,
    augment: &Augment,
) -> Vec<(Vec<f32>, Vec<f32>)> {
    values(Loader::new(images, size, order).augment(augment.clone()))
}

/// Returns the values and targets of each image of a loader.
fn values(loader: Loader<'_>) -> Vec<(Vec<f32>, Vec<f32>)> {
    let mut all = Vec::new();
    for batch in loader {
        let batch = batch.unwrap();
        let count = batch.labels.dims()[0];
        let values: Vec<f32> = batch.images.into_data().iter::<f32>().collect();
        let targets: Vec<f32> = match batch.soft {
            Some(soft) => soft.into_data().iter::<f32>().collect(),
            None => batch.labels.into_data().iter::<f32>().collect(),
        };
        let pairs = values
            .chunks(values.len() / count)
            .zip(targets.chunks(targets.len() / count));
        all.extend(pairs.map(|(values, targets)| (values.to_vec(), targets.to_vec())));
    }
    all
}

#[test]
fn caches_workers_and_batch_sizes_do_not_change_the_images() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path(), 13);
    for (stored, augment) in [
        (StoredSize::Whole, everything()),
        (StoredSize::Whole, Augment::default()),
        (StoredSize::Fitted, Augment::light()),
    ] {
        let with = |cache, workers, size| {
            let pipeline = pipeline(&folder, cache, workers);
            let images = set
                .prepare(&Preprocess::square(16), stored, &pipeline)
                .unwrap();
            epoch(&images, size, SHUFFLED, &augment)
        };
        let wanted = with(Cache::Memory, 1, 13);
        assert_eq!(wanted.len(), 13);
        for (cache, workers, size) in [
            (Cache::Memory, 3, 4),
            (Cache::Disk, 1, 4), // writes the cache file
            (Cache::Disk, 2, 5), // reads it
            (Cache::None, 1, 1),
            (Cache::None, 4, 6),
            (Cache::Auto, 2, 13),
        ] {
            assert_eq!(
                with(cache, workers, size),
                wanted,
                "{cache:?} {workers} {size}"
            );
        }
    }
}

#[test]
fn whoever_watches_is_told_how_many_images_are_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path(), 130);
    let told = |cache| {
        let (pipeline, mut told) = (pipeline(&folder, cache, 2), Vec::new());
        let mut decoded = |images| told.push(images);
        let size = StoredSize::Fitted;
        let images = set.prepare_watched(&Preprocess::square(8), size, &pipeline, &mut decoded);
        let checksums = images.unwrap().checksums;
        (told, checksums.iter().filter(|sum| sum.is_some()).count())
    };
    assert_eq!(told(Cache::Memory), (vec![128, 130], 130));
    assert_eq!(told(Cache::Disk), (vec![128, 130], 130));
    // The cache file has them all, with their checksums.
    assert_eq!(told(Cache::Disk), (vec![], 130));
    // Only headers are read.
    assert_eq!(told(Cache::None), (vec![128, 130], 0));
}

#[test]
fn augmentation_differs_between_epochs_and_is_off_for_testing() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path(), 6);
    let pipeline = pipeline(&folder, Cache::Memory, 2);
    let images = set
        .prepare(&Preprocess::square(16), StoredSize::Whole, &pipeline)
        .unwrap();
    let of = |order| epoch(&images, 4, order, &everything());
    let number = |epoch| of(Order::Shuffled { seed: 4, epoch });
    assert_eq!(number(1), number(1));
    assert_ne!(number(1), number(2));
    let plain = epoch(&images, 4, Order::Sequential, &Augment::default());
    assert_eq!(of(Order::Sequential), plain);
}

#[test]
fn a_view_depends_only_on_its_number_and_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path(), 7);
    let pipeline = pipeline(&folder, Cache::Memory, 2);
    let mut images = set
        .prepare(&Preprocess::square(16), StoredSize::Whole, &pipeline)
        .unwrap();
    let augment = Augment {
        hue: 0.1,
        erasing: 1.0,
        ..Augment::strong()
    };
    // The values of each image, by index.
    let sorted = |images: &Images, epoch, view: Option<usize>| {
        let order = Order::Shuffled { seed: 4, epoch };
        let mut loader = Loader::new(images, 3, order).augment(augment.clone());
        if let Some(number) = view {
            loader = loader.view(4, number);
        }
        let indices = loader.indices().to_vec();
        let mut shown: Vec<_> = indices.into_iter().zip(values(loader)).collect();
        shown.sort_by_key(|(index, _)| *index);
        shown
    };
    let second = sorted(&images, 2, None);
    assert_eq!(sorted(&images, 2, Some(2)), second);
    assert_eq!(sorted(&images, 5, Some(2)), second);
    let third = sorted(&images, 5, Some(3));
    assert!(second.iter().zip(&third).all(|(a, b)| a != b));
    // The views are the same in sequential order.
    let loader = Loader::new(&images, 2, Order::Sequential).augment(augment.clone());
    let in_order: Vec<_> = (0..7).zip(values(loader.view(4, 2))).collect();
    assert_eq!(in_order, second);
    // An image that comes twice in an epoch looks the same both times.
    images.labels = vec![0, 1, 1, 1, 1, 1, 1];
    images.sampling = Sampling::Balanced;
    let balanced = sorted(&images, 3, Some(2));
    let first: Vec<_> = balanced.iter().filter(|(index, _)| *index == 0).collect();
    assert!(first.len() >= 3);
    assert!(first.iter().all(|(_, shown)| shown.0 == second[0].1.0));
    // Mixing depends on the order, not on the view.
    let mixup = Augment {
        mixup: 1.0,
        ..Augment::default()
    };
    let order = Order::Shuffled { seed: 4, epoch: 3 };
    let loader = Loader::new(&images, 3, order).augment(mixup.clone());
    let mixed = epoch(&images, 3, order, &mixup);
    assert_eq!(values(loader.view(4, 1)), mixed);
}

#[test]
fn a_thumbnail_of_an_epoch_shows_what_its_batches_hold() {
    // Images of one colour each stay so if they are made brighter and blended.
    let samples = (0..7_u8).map(|index| {
        let source = Source::Grey {
            name: index.to_string(),
            height: 8,
            width: 8,
            values: [30 * index + 20; 64].into(),
        };
        Sample::new(source, (index > 0).into())
    });
    let set = ImageSet {
        classes: vec!["a".to_owned(), "b".to_owned()],
        samples: samples.collect(),
    };
    let mut images = set.decode(&Preprocess::square(8)).unwrap();
    let augment = Augment {
        brightness: 0.5,
        mixup: 1.0,
        ..Augment::default()
    };
    let mut shown = Vec::new();
    for epoch in 1..=3 {
        let order = Order::Shuffled { seed: 4, epoch };
        let loader = || Loader::new(&images, 3, order).augment(augment.clone());
        let indices = loader().indices().to_vec();
        for (index, (values, _)) in indices.into_iter().zip(values(loader())) {
            let jpeg = loader().thumbnail(index, 4).unwrap().unwrap();
            let picture = image::load_from_memory(&jpeg).unwrap().into_rgb8();
            assert_eq!(picture.dimensions(), (4, 4));
            let (red, wanted) = (
                f32::from(picture.get_pixel(1, 1).0[0]),
                127.5 * (values[0] + 1.0),
            );
            assert!((red - wanted).abs() < 4.0, "{red} is not {wanted}");
            shown.push((index, jpeg));
        }
    }
    let of_last: Vec<_> = shown.iter().filter(|(index, _)| *index == 6).collect();
    assert!(of_last[0] != of_last[1] || of_last[1] != of_last[2]);
    // A balanced epoch has three or four of the six images of the larger class.
    images.sampling = Sampling::Balanced;
    let loader = Loader::new(&images, 3, Order::Shuffled { seed: 4, epoch: 1 });
    let there: Vec<bool> = (0..7)
        .map(|index| loader.thumbnail(index, 4).unwrap().is_some())
        .collect();
    let wanted: Vec<bool> = (0..7)
        .map(|index| loader.indices().contains(&index))
        .collect();
    assert_eq!(there, wanted);
    assert!(wanted.contains(&false));
}

#[test]
fn mixup_blends_an_image_with_the_one_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path(), 9);
    let pipeline = pipeline(&folder, Cache::Memory, 2);
    let images = set
        .prepare(&Preprocess::square(16), StoredSize::Fitted, &pipeline)
        .unwrap();
    let plain = epoch(&images, 4, SHUFFLED, &Augment::default());
    let mixup = Augment {
        mixup: 1.0,
        ..Augment::default()
    };
    let mixed = epoch(&images, 4, SHUFFLED, &mixup);
    let order = Loader::new(&images, 4, SHUFFLED).indices().to_vec();
    for position in 0..9 {
        let before = (position + 8) % 9;
        let (own, other) = (&plain[position].0, &plain[before].0);
        let (values, targets) = &mixed[position];
        assert!((targets[0] + targets[1] - 1.0).abs() < 1e-6);
        let (label, label_before) = (images.labels[order[position]], images.labels[order[before]]);
        // If the classes differ, the target contains the share of the image itself.
        if label != label_before {
            let share = targets[label];
            for ((value, own), other) in values.iter().zip(own).zip(other) {
                assert!((value - share * own - (1.0 - share) * other).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn balanced_sampling_takes_classes_evenly_and_augments_repeats_differently() {
    let folder = tempfile::tempdir().unwrap();
    let mut set = set(folder.path(), 12);
    for (index, sample) in set.samples.iter_mut().enumerate() {
        sample.label = usize::from(index < 2);
    }
    let pipeline = pipeline(&folder, Cache::Memory, 2);
    let mut images = set
        .prepare(&Preprocess::square(16), StoredSize::Whole, &pipeline)
        .unwrap();
    images.sampling = Sampling::Balanced;
    let order = Order::Shuffled { seed: 3, epoch: 1 };
    let indices = Loader::new(&images, 5, order).indices().to_vec();
    assert_eq!(indices.len(), 12);
    assert_eq!(indices.iter().filter(|index| **index < 2).count(), 6);
    let values = epoch(&images, 5, order, &Augment::strong());
    let of_first: Vec<_> = (0..12).filter(|at| indices[*at] == 0).collect();
    assert_eq!(of_first.len(), 3);
    assert_ne!(values[of_first[0]], values[of_first[1]]);
}

#[test]
fn a_smaller_last_batch_can_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path(), 10);
    let images = set.decode(&Preprocess::square(4)).unwrap();
    let sizes = |drop| {
        let loader = Loader::new(&images, 4, Order::Sequential).drop_last(drop);
        let batches = loader.batches();
        let sizes: Vec<_> = loader
            .map(|batch| batch.unwrap().labels.dims()[0])
            .collect();
        assert_eq!(sizes.len(), batches);
        sizes
    };
    assert_eq!(sizes(false), [4, 4, 2]);
    assert_eq!(sizes(true), [4, 4]);
    let none = ImageSet {
        samples: Vec::new(),
        ..set
    };
    let images = none.decode(&Preprocess::square(4)).unwrap();
    assert_eq!(Loader::new(&images, 0, Order::Sequential).batches(), 0);
    assert!(Loader::new(&images, 0, Order::Sequential).next().is_none());
}

/// Truncates the image with this number to half of its bytes.
fn cut(folder: &TempDir, number: usize) -> String {
    let path = folder.path().join(format!("{number}.png"));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    path.display().to_string()
}

#[test]
fn an_image_that_is_damaged_later_ends_the_epoch_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path(), 9);
    let pipeline = pipeline(&folder, Cache::None, 2);
    let images = set
        .prepare(&Preprocess::square(8), StoredSize::Fitted, &pipeline)
        .unwrap();
    let name = cut(&folder, 5);
    let outcomes: Vec<_> = Loader::new(&images, 2, Order::Sequential).collect();
    assert_eq!(outcomes.len(), 3, "two batches and an error");
    let error = outcomes[2].as_ref().unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot decode the image `{name}`: ")),
        "{error}"
    );
    // Dropping a loader in the middle of an epoch stops its thread.
    drop(Loader::new(&images, 1, Order::Sequential).next());
}

#[test]
fn unusable_images_are_left_out_with_every_kind_of_cache() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path(), 12);
    let names = [cut(&folder, 2), cut(&folder, 7)];
    std::fs::write(folder.path().join("9.png"), b"").unwrap();
    let with = |cache, on_bad_image| {
        let pipeline = Pipeline {
            on_bad_image,
            ..pipeline(&folder, cache, 2)
        };
        set.prepare(&Preprocess::square(8), StoredSize::Whole, &pipeline)
    };
    let mut all = Vec::new();
    // `Cache::Disk` comes twice: the first pass writes the cache file, and the second reads it.
    for cache in [Cache::Memory, Cache::Disk, Cache::Disk, Cache::None] {
        let images = with(cache, OnBadImage::Skip).unwrap();
        assert_eq!(images.len(), 9);
        let skipped: Vec<_> = images.skipped.iter().map(|broken| &broken.image).collect();
        assert_eq!(skipped[..2], [&names[0], &names[1]]);
        assert!(
            images.skipped[2].reason.contains("9.png"),
            "{:?}",
            images.skipped[2]
        );
        all.push(epoch(&images, 4, SHUFFLED, &everything()));
    }
    assert!(all.iter().all(|epoch| *epoch == all[0]));
    // Unless unusable images are skipped, the first one is an error, even if the cache file does
    // not contain it.
    for cache in [Cache::Memory, Cache::Disk] {
        let error = with(cache, OnBadImage::Fail).unwrap_err().to_string();
        assert!(error.contains(&names[0]), "{error}");
    }
}

#[test]
fn a_class_without_usable_images_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut set = set(folder.path(), 4);
    for (index, sample) in set.samples.iter_mut().enumerate() {
        sample.label = usize::from(index == 3);
    }
    cut(&folder, 3);
    let pipeline = Pipeline {
        on_bad_image: OnBadImage::Skip,
        ..pipeline(&folder, Cache::Memory, 1)
    };
    let outcome = set.prepare(&Preprocess::square(8), StoredSize::Fitted, &pipeline);
    let error = outcome.unwrap_err().to_string();
    assert!(
        error.starts_with("no image of the class `b` can be used"),
        "{error}"
    );
}

#[test]
fn a_changed_image_gets_a_new_cache_file_and_a_truncated_cache_file_is_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path(), 3);
    let with = || {
        let pipeline = pipeline(&folder, Cache::Disk, 1);
        let images = set
            .prepare(&Preprocess::square(8), StoredSize::Fitted, &pipeline)
            .unwrap();
        epoch(&images, 3, Order::Sequential, &Augment::default())
    };
    let caches = || {
        let entries = std::fs::read_dir(folder.path().join("cache")).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let first = with();
    assert_eq!((with(), caches().len()), (first.clone(), 1));
    let bytes = std::fs::read(&caches()[0]).unwrap();
    for length in [0, 10, 40, bytes.len() - 1] {
        std::fs::write(&caches()[0], &bytes[..length]).unwrap();
        assert_eq!(with(), first, "{length}");
    }
    let white = ImageBuffer::from_pixel(20, 20, Rgb([255_u8; 3]));
    white.save(folder.path().join("1.png")).unwrap();
    assert_ne!(with(), first);
    assert_eq!(caches().len(), 2);
}

#[test]
fn unfinished_cache_files_are_removed_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    let old = SystemTime::now() - Duration::from_hours(48);
    for (name, time) in [
        (".images-old", old),
        (".images-new", SystemTime::now()),
        ("other", old),
    ] {
        let file = std::fs::File::create(cache.join(name)).unwrap();
        file.set_modified(time).unwrap();
    }
    let pipeline = pipeline(&folder, Cache::Disk, 1);
    let set = set(folder.path(), 2);
    set.prepare(&Preprocess::square(8), StoredSize::Fitted, &pipeline)
        .unwrap();
    let left = [".images-old", ".images-new", "other"].map(|name| cache.join(name).exists());
    assert_eq!(left, [false, true, true]);
}

#[test]
fn if_no_cache_can_be_written_auto_works_without_and_disk_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let set = set(folder.path(), 3);
    std::fs::write(folder.path().join("cache"), b"a file is in the way").unwrap();
    let with = |cache| {
        let pipeline = Pipeline {
            budget: Some(0),
            ..pipeline(&folder, cache, 1)
        };
        set.prepare(&Preprocess::square(8), StoredSize::Fitted, &pipeline)
    };
    let images = with(Cache::Auto).unwrap();
    let note = images.note.clone().unwrap();
    assert!(
        note.starts_with("cannot cache decoded images in "),
        "{note}"
    );
    assert_eq!(epoch(&images, 3, SHUFFLED, &everything()).len(), 3);
    assert!(matches!(with(Cache::Disk), Err(DataError::Cache { .. })));
}
