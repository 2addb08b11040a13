#!/usr/bin/env python3
"""Computes metrics and tests with scikit-learn, SciPy and statsmodels, for `crates/evaluation`.

    pip install numpy scipy scikit-learn statsmodels
    python3 tests/parity/evaluation.py > crates/evaluation/tests/fixtures/statistics.json

Inputs are drawn from a fixed seed, and the output contains them. The interval over images and seeds
has no counterpart in these libraries; here it is written down once more, with SciPy's
numerical integration instead of a sum over nodes and statsmodels' analysis of variance.
"""

import json
import sys
import warnings

import numpy as np
import pandas
import sklearn.metrics as metrics
from scipy import integrate, optimize, special, stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

warnings.filterwarnings("ignore")
random = np.random.default_rng(20)


def optional(values: np.ndarray, defined: np.ndarray) -> list:
    return [float(v) if d else None for v, d in zip(values, defined)]


def confusions() -> list[dict]:
    found = []
    # The third has classes without images; some of them are predicted.
    for classes, images, used in (
        (2, 30, 2),
        (3, 1, 3),
        (5, 60, 3),
        (10, 40, 10),
        (4, 200, 4),
    ):
        truth = random.integers(0, used, images)
        guesses = random.integers(0, classes, images)
        predicted = np.where(random.random(images) < 0.6, truth, guesses)
        labels = list(range(classes))
        precision, recall, _, _ = metrics.precision_recall_fscore_support(
            truth, predicted, labels=labels, zero_division=0
        )
        found.append(
            {
                "classes": classes,
                "truth": truth.tolist(),
                "predicted": predicted.tolist(),
                "accuracy": metrics.accuracy_score(truth, predicted),
                "macro_f1": metrics.f1_score(truth, predicted, average="macro"),
                "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
                "precision": optional(precision, np.isin(labels, predicted)),
                "recall": optional(recall, np.isin(labels, truth)),
            }
        )
    return found


def calibration_error(truth: np.ndarray, rows: np.ndarray) -> float:
    """Equation 3 of Guo et al. 2017 with 15 bins."""
    confidence = rows.max(axis=1).astype(float)
    correct = rows.argmax(axis=1) == truth
    edges = np.linspace(0, 1, 16)
    error = 0.0
    for low, high in zip(edges, edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(correct[inside].mean() - confidence[inside].mean())
            error += inside.mean() * gap
    return float(error)


def probabilities() -> list[dict]:
    found = []
    for classes, images, sharpness in ((2, 40, 2), (5, 60, 3), (10, 80, 30)):
        truth = random.integers(0, classes, images)
        logits = random.standard_normal((images, classes)) * sharpness
        logits[np.arange(images), truth] += sharpness
        rows = np.exp(logits - logits.max(axis=1, keepdims=True))
        rows = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
        labels = list(range(classes))
        scores = rows if classes > 2 else rows[:, 1]
        top = [
            metrics.top_k_accuracy_score(truth, scores, k=k, labels=labels)
            for k in range(1, min(classes, 4))
        ]
        found.append(
            {
                "truth": truth.tolist(),
                "rows": [[float(v) for v in row] for row in rows],
                "top_k": top,
                "log_loss": float(metrics.log_loss(truth, rows, labels=labels)),
                "calibration_error": calibration_error(truth, rows),
            }
        )
    return found


def mcnemars() -> list[dict]:
    counts = ((0, 1), (0, 6), (1, 9), (12, 30), (40, 41), (200, 320))
    return [
        {
            "only": only,
            "p": float(mcnemar([[0, only[0]], [only[1], 0]], exact=True).pvalue),
        }
        for only in counts
    ]


def sign_flips() -> list[dict]:
    found = []
    for differences in (
        [3, 1, 4, 2, 5],
        [3, -1, 4, 1, 5],
        [2, 2, -2, 1],
        [0, 0, 1],
        [7, -3, 2, 2, -1, 4, 4, 9, -2, 1],
    ):
        test = stats.permutation_test(
            (np.array(differences),),
            lambda values, axis: np.abs(values.sum(axis=axis)),
            permutation_type="samples",
            alternative="greater",
            vectorized=True,
            n_resamples=np.inf,
        )
        found.append({"differences": differences, "p": float(test.pvalue)})
    return found


def holms() -> list[dict]:
    found = []
    for count in (1, 3, 10):
        p = (random.random(count) ** 3).tolist()
        found.append({"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()})
    return found


def mean_squares(values: np.ndarray) -> tuple[float, float]:
    """Mean squares of seeds and of the rest, divided by the number of values."""
    seeds, images = values.shape
    rows = [(s, i, values[s, i]) for s in range(seeds) for i in range(images)]
    frame = pandas.DataFrame(rows, columns=["seed", "image", "value"])
    table = anova_lm(ols("value ~ C(seed) + C(image)", frame).fit())
    squares = table["sum_sq"] / table["df"] / values.size
    return float(squares["C(seed)"]), float(squares["Residual"])


def interval(first: np.ndarray, second: np.ndarray) -> dict:
    differences = first.mean(axis=0) - second.mean(axis=0)
    images = len(differences)
    differing = np.count_nonzero(differences)
    square = (np.square(differences).sum() + 1) / (differing + 1)
    centre = differences.sum() / (images + 2)
    second_moment = (np.square(differences).sum() + 2 * square) / (images + 2)
    variance = (second_moment - centre**2) / (images + 2)
    least = min(len(first), len(second))
    if least == 1:
        tail = lambda x: 2 * stats.norm.sf(x / np.sqrt(variance))
    else:
        (seeds, rest), (other_seeds, other_rest) = mean_squares(first), mean_squares(second)
        alone = max(variance - rest - other_rest, 0)
        # Welch's degrees of freedom.
        degrees = (seeds + other_seeds) ** 2 / (
            seeds**2 / (len(first) - 1) + other_seeds**2 / (len(second) - 1)
        )

        def at(logarithm: float, x: float) -> float:
            chi = np.exp(logarithm)
            total = max(alone + (seeds + other_seeds) * degrees / chi, variance / 2)
            density = stats.chi2.pdf(chi, degrees) * chi
            return 2 * special.ndtr(-x / np.sqrt(total)) * density

        def tail(x: float) -> float:
            parts = ((-40, -5), (-5, 0), (0, 3), (3, 6))
            return sum(integrate.quad(at, *part, args=(x,), limit=200)[0] for part in parts)

    half = 2.0
    if tail(half) < 0.05:
        half = optimize.brentq(lambda x: tail(x) - 0.05, 1e-6, half, xtol=1e-9)
    return {
        "first": first.astype(int).tolist(),
        "second": second.astype(int).tolist(),
        "value": float(differences.mean()),
        "low": float(max(centre - half, -1)),
        "high": float(min(centre + half, 1)),
        "p": None if least == 1 else float(tail(abs(centre))),
    }


def intervals() -> list[dict]:
    found = []
    for seeds, images, accuracy in (
        ((1, 1), 40, 0.8),
        ((5, 5), 60, 0.7),
        ((5, 5), 60, 0.95),
        ((3, 3), 20, 0.6),
        ((5, 3), 40, 0.8),
        ((2, 2), 30, 0.7),
        ((1, 4), 30, 0.7),
    ):
        hard = random.standard_normal(images)

        def method(count: int, accuracy: float) -> np.ndarray:
            own = random.standard_normal((count, images))
            own += 0.3 * random.standard_normal((count, 1))
            return (hard + own) / np.sqrt(2) < stats.norm.ppf(accuracy)

        first, second = method(seeds[0], accuracy), method(seeds[1], accuracy - 0.15)
        found.append(interval(first.astype(float), second.astype(float)))
    return found


json.dump(
    {
        "confusions": confusions(),
        "probabilities": probabilities(),
        "mcnemar": mcnemars(),
        "sign_flip": sign_flips(),
        "holm": holms(),
        "intervals": intervals(),
    },
    sys.stdout,
)
print()
