#!/usr/bin/env python3
"""Computes `knn` and `probe` with scikit-learn, for `crates/methods`.

    pip install numpy scikit-learn
    python3 tests/parity/probe.py > crates/methods/tests/fixtures/probe.json

The features are those of scikit-learn's wine data: 178 wines of three cultivars, 13 measurements of very
different sizes. Every third wine is a test example.
"""

import json

import numpy as np
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import LeaveOneOut, PredefinedSplit, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TEMPERATURE = 0.07

wine = load_wine()
# As `f32`, which the features of a network are.
features = wine.data.astype(np.float32).astype(np.float64)
labels = wine.target
test = np.arange(len(labels)) % 3 == 0


def regression(c: float, **options) -> LogisticRegression:
    return LogisticRegression(C=c, tol=1e-12, max_iter=100_000, **options)


def probe(c: float, standardize: bool, balanced: bool, classes: int) -> dict:
    """The probabilities of the test examples, and the coefficients for unscaled features."""
    own = labels < classes
    train_x, train_y = features[~test & own], labels[~test & own]
    options = {"class_weight": "balanced"} if balanced else {}
    scaler = StandardScaler(with_mean=standardize, with_std=standardize).fit(train_x)
    model = regression(c, **options).fit(scaler.transform(train_x), train_y)
    scale = scaler.scale_ if standardize else np.ones(train_x.shape[1])
    mean = scaler.mean_ if standardize else np.zeros(train_x.shape[1])
    coefficients = model.coef_ / scale
    return {
        "c": c,
        "standardize": standardize,
        "balanced": balanced,
        "classes": classes,
        "coefficients": coefficients.tolist(),
        "intercepts": (model.intercept_ - coefficients @ mean).tolist(),
        "probabilities": model.predict_proba(scaler.transform(features[test & own])).tolist(),
    }


def cross_validation() -> dict:
    """Accuracy and loss of examples that are held out, in five folds that take turns within each class. The
    scaling is that of all training examples."""
    train_x, train_y = features[~test], labels[~test]
    train_x = StandardScaler().fit_transform(train_x)
    folds = np.empty(len(train_y), dtype=int)
    for label in range(3):
        own = np.flatnonzero(train_y == label)
        folds[own] = np.arange(len(own)) % 5
    scores = []
    for c in (1e-3, 1e-1, 10.0):
        held_out = cross_val_predict(
            regression(c), train_x, train_y, cv=PredefinedSplit(folds), method="predict_proba"
        )
        scores.append(
            {
                "c": c,
                "accuracy": float((held_out.argmax(1) == train_y).mean()),
                "loss": float(log_loss(train_y, held_out)),
            }
        )
    return {"folds": folds.tolist(), "scores": scores}


def neighbours(k: int) -> KNeighborsClassifier:
    """Neighbours by the cosine similarity `s`, with `exp(s / temperature)` votes."""
    return KNeighborsClassifier(
        n_neighbors=k,
        metric="cosine",
        algorithm="brute",
        weights=lambda distances: np.exp((1 - distances) / TEMPERATURE),
    )


def knn(k: int) -> dict:
    # Centred, because the cosine similarities of the measurements themselves are all about 1.
    scaler = StandardScaler().fit(features[~test])
    train_x, train_y = scaler.transform(features[~test]), labels[~test]
    model = neighbours(k).fit(train_x, train_y)
    shares = model.predict_proba(scaler.transform(features[test]))
    left_out = cross_val_predict(neighbours(k), train_x, train_y, cv=LeaveOneOut())
    return {
        "k": k,
        "shares": shares.tolist(),
        "predicted": model.predict(scaler.transform(features[test])).tolist(),
        "left_out": float((left_out == train_y).mean()),
    }


scaler = StandardScaler().fit(features[~test])
print(
    json.dumps(
        {
            "train": {"features": features[~test].tolist(), "labels": labels[~test].tolist()},
            "test": {"features": features[test].tolist(), "labels": labels[test].tolist()},
            "mean": scaler.mean_.tolist(),
            "scale": scaler.scale_.tolist(),
            "probe": [
                probe(1e-3, True, False, 3),
                probe(1.0, True, False, 3),
                probe(1e3, True, False, 3),
                probe(1.0, True, True, 3),
                probe(1e-4, False, False, 3),
                probe(0.1, True, False, 2),
                probe(10.0, True, True, 2),
            ],
            "cross_validation": cross_validation(),
            "knn": [knn(k) for k in (1, 3, 5, 10, 20, 50)],
        }
    )
)
