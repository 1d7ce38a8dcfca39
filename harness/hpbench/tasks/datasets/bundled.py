"""Real data that scikit-learn ships with, so that nothing is downloaded.

References:
    Fisher (1936) for iris; Aeberhard, Coomans & de Vel (1992) for wine; Street, Wolberg &
    Mangasarian (1993) for breast cancer; Alpaydin & Kaynak (1998) for digits; Efron, Hastie,
    Johnstone & Tibshirani (2004) for diabetes.
"""

from __future__ import annotations

from hpbench.tasks.datasets.base import Dataset

__all__ = ["breast_cancer", "diabetes", "digits", "iris", "wine"]


def digits() -> Dataset:
    """Return 1,797 handwritten digits, shape ``(1, 8, 8)``, grey levels from 0 to 16, ten classes."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - scikit-learn is slow to import

    bunch = load_digits()
    return Dataset.of("digits", bunch.images[:, None, :, :], bunch.target)


def breast_cancer() -> Dataset:
    """Return 569 tumours with 30 measurements of cell nuclei, two classes."""
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415 - scikit-learn is slow to import

    bunch = load_breast_cancer()
    return Dataset.of("breast-cancer", bunch.data, bunch.target)


def diabetes() -> Dataset:
    """Return 442 patients with 10 measurements; the disease's progression after a year is to be predicted."""
    from sklearn.datasets import load_diabetes  # noqa: PLC0415 - scikit-learn is slow to import

    bunch = load_diabetes(scaled=False)
    return Dataset.of_numbers("diabetes", bunch.data, bunch.target)


def wine() -> Dataset:
    """Return 178 wines with 13 chemical measurements, three cultivars."""
    from sklearn.datasets import load_wine  # noqa: PLC0415 - scikit-learn is slow to import

    bunch = load_wine()
    return Dataset.of("wine", bunch.data, bunch.target)


def iris() -> Dataset:
    """Return 150 flowers with 4 lengths in centimetres, three species."""
    from sklearn.datasets import load_iris  # noqa: PLC0415 - scikit-learn is slow to import

    bunch = load_iris()
    return Dataset.of("iris", bunch.data, bunch.target)
