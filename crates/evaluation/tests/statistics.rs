//! Metrics and statistics compared with scikit-learn, SciPy and statsmodels.
//! `tests/parity/evaluation.py` computed the expected values.

#![allow(clippy::unwrap_used)]

use serde_json::Value;

use finetune_evaluation::{
    Confusion, Difference, Outcomes, Probabilities, holm, mcnemar, sign_flip,
};

fn cases(name: &str) -> Vec<Value> {
    let fixtures: Value = serde_json::from_str(include_str!("fixtures/statistics.json")).unwrap();
    fixtures[name].as_array().unwrap().clone()
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

#[track_caller]
fn close(value: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((value - expected).abs() <= tolerance, "{value} {expected}");
}

#[track_caller]
fn all_close(values: &[Option<f64>], expected: &Value) {
    let expected: Vec<Option<f64>> = read(expected);
    assert_eq!(values.len(), expected.len());
    for (value, expected) in values.iter().zip(expected) {
        match (value, expected) {
            (Some(value), Some(expected)) => assert!((value - expected).abs() < 1e-12),
            (value, expected) => assert_eq!(*value, expected),
        }
    }
}

#[test]
fn metrics_of_predictions_agree_with_scikit_learn() {
    for case in cases("confusions") {
        let (truth, predicted): (Vec<_>, Vec<_>) = (read(&case["truth"]), read(&case["predicted"]));
        let confusion =
            Confusion::from_predictions(read(&case["classes"]), &truth, &predicted).unwrap();
        close(confusion.accuracy(), &case["accuracy"], 1e-12);
        close(confusion.macro_f1(), &case["macro_f1"], 1e-12);
        let balanced = confusion.balanced_accuracy();
        close(balanced, &case["balanced_accuracy"], 1e-12);
        all_close(&confusion.precision(), &case["precision"]);
        all_close(&confusion.recall(), &case["recall"]);
    }
}

#[test]
fn metrics_of_probabilities_agree_with_scikit_learn() {
    for case in cases("probabilities") {
        let (truth, rows): (Vec<_>, Vec<_>) = (read(&case["truth"]), read(&case["rows"]));
        let probabilities = Probabilities::new(&truth, &rows).unwrap();
        for (k, expected) in (1..).zip(case["top_k"].as_array().unwrap()) {
            close(probabilities.top_k_accuracy(k).unwrap(), expected, 1e-12);
        }
        // scikit-learn takes logarithms in single precision.
        close(probabilities.log_loss().unwrap(), &case["log_loss"], 1e-5);
        let error = probabilities.calibration_error().unwrap();
        close(error, &case["calibration_error"], 1e-12);
    }
}

#[test]
fn tests_agree_with_scipy_and_statsmodels() {
    for case in cases("mcnemar") {
        let (first, second) = read(&case["only"]);
        close(mcnemar(first, second), &case["p"], 1e-12);
    }
    for case in cases("sign_flip") {
        let differences: Vec<i64> = read(&case["differences"]);
        close(sign_flip(&differences), &case["p"], 1e-12);
    }
    for case in cases("holm") {
        let adjusted: Vec<_> = holm(&read::<Vec<_>>(&case["p"]))
            .into_iter()
            .map(Some)
            .collect();
        all_close(&adjusted, &case["adjusted"]);
    }
}

#[test]
fn differences_agree_with_numerical_integration() {
    for case in cases("intervals") {
        let outcomes = |name: &str| {
            let correct: Vec<Vec<u8>> = read(&case[name]);
            let seeds = correct
                .iter()
                .map(|seed| seed.iter().map(|c| *c == 1).collect());
            Outcomes::new(seeds.collect()).unwrap()
        };
        let difference = Difference::between(&outcomes("first"), &outcomes("second"));
        let difference = difference.unwrap().unwrap();
        close(difference.value, &case["value"], 1e-12);
        close(difference.low, &case["low"], 1e-5);
        close(difference.high, &case["high"], 1e-5);
        match difference.p_value {
            Some(p) => close(p, &case["p"], 1e-5),
            None => assert!(case["p"].is_null()),
        }
    }
}
