"""Data drawn from a formula: small, with a known difficulty, equal in every study.

The numbers come from streams of their own names, so neither the suite's seed nor the repetition
changes the data (the repetition changes the split). Inputs are rounded, so that the last bit of a
platform's sine does not change the checksum.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hpbench.seeding import Stream
from hpbench.tasks.datasets.base import Dataset

__all__ = ["friedman1", "moons", "sparse", "spirals"]

_DECIMALS = 4


def moons() -> Dataset:
    """Return two interleaved half circles: 1,000 points, 2 features, 2 classes, Gaussian noise of 0.2.

    The classes overlap a little, so that no network reaches an error of zero.
    """
    rng, size, noise = _rng("moons"), 500, 0.2
    angle = rng.uniform(0.0, np.pi, size=(2, size))
    upper = np.stack([np.cos(angle[0]), np.sin(angle[0])], axis=1)
    lower = np.stack([1.0 - np.cos(angle[1]), 0.5 - np.sin(angle[1])], axis=1)
    inputs = np.concatenate([upper, lower]) + rng.normal(0.0, noise, size=(2 * size, 2))
    return _dataset("moons", inputs, np.repeat([0, 1], size))


def spirals() -> Dataset:
    """Return three spiral arms of one and a quarter turns: 1,200 points, 2 features, 3 classes.

    No straight line helps, so depth and width matter more than on the other small sets.

    References:
        Lang & Witbrock (1988), "Learning to tell two spirals apart", for the two-armed form.
    """
    rng, arms, size, noise = _rng("spirals"), 3, 400, 0.04
    # The square root spreads the points evenly along the arm, which gets longer outwards.
    radius = np.sqrt(rng.uniform(0.01, 1.0, size=(arms, size)))
    angle = 2.5 * np.pi * radius + (2.0 * np.pi / arms) * np.arange(arms)[:, None]
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1, 2)
    inputs = points + rng.normal(0.0, noise, size=points.shape)
    return _dataset("spirals", inputs, np.repeat(np.arange(arms), size))


def sparse() -> Dataset:
    """Return a sparse high-dimensional problem: 1,000 points, 200 features of which 10 tell the class.

    Three classes with noisy labels; the other 190 features are noise, so that regularisation (L1
    above all) pays. The class has the largest of three scores, linear in the informative features
    plus one product of two features each, plus Gumbel noise (a multinomial logit).
    """
    rng, n, features, informative, classes = _rng("sparse"), 1000, 200, 10, 3
    inputs = rng.normal(size=(n, features))
    columns = rng.permutation(features)[:informative]
    signal = inputs[:, columns]
    weights = rng.normal(size=(informative, classes))
    products = signal[:, :classes] * signal[:, classes : 2 * classes]
    scores = signal @ weights + products
    targets = np.argmax(2.0 * scores + rng.gumbel(size=scores.shape), axis=1)
    return _dataset("sparse", inputs, targets)


def friedman1() -> Dataset:
    """Return 1,000 points with 10 uniform features, of which 5 make the number to be predicted.

    ``10 sin(pi x1 x2) + 20 (x3 - 1/2)^2 + 10 x4 + 5 x5`` with Gaussian noise of standard deviation 1. The
    noise is about 1 of a variance of 24, so the best possible R² is about 0.96.

    References:
        Friedman (1991), "Multivariate adaptive regression splines", eq. 61.
    """
    rng, n, features = _rng("friedman1"), 1000, 10
    x = np.round(rng.uniform(size=(n, features)), _DECIMALS)
    signal = 10.0 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20.0 * (x[:, 2] - 0.5) ** 2
    targets = signal + 10.0 * x[:, 3] + 5.0 * x[:, 4] + rng.normal(size=n)
    return Dataset.of_numbers("friedman1", x, np.round(targets, _DECIMALS))


def _rng(name: str) -> Generator:
    """Return the generator that draws the data set called ``name``."""
    return Stream(("dataset", name)).generator()


def _dataset(name: str, inputs: NDArray[np.float64], targets: NDArray[np.int64]) -> Dataset:
    """Return the data set with its inputs rounded."""
    return Dataset.of(name, np.round(inputs, _DECIMALS), targets)
