"""What a data set holds, as ``hpbench show data`` prints it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hpbench.cli.text import clean, table
from hpbench.tasks.datasets import Dataset
from hpbench.tasks.datasets.splits import split

__all__ = ["content_of", "text_of"]

_MOST_SHOWN = 20
_LONGEST_NAME = 40
_FRACTION = 0.2


def content_of(data: Dataset) -> dict[str, Any]:
    """Return what ``data`` holds as JSON values.

    Raises:
        UsageError: it cannot be split, because a class has too few examples.
    """
    parts = split(data, root_seed=0, repetition=0, validation_fraction=_FRACTION, test_fraction=_FRACTION)
    counts = np.bincount(data.targets, minlength=data.n_classes).tolist()
    names = data.class_names or [str(label) for label in range(data.n_classes)]
    missing = np.isnan(data.inputs).sum(axis=0).tolist() if data.columns else []
    return {
        "name": data.name,
        "rows": len(data),
        "shape": list(data.shape),
        "columns": [
            {"name": column.name, "categories": list(column.categories), "missing": gaps}
            for column, gaps in zip(data.columns, missing, strict=True)
        ],
        "classes": [{"name": name, "rows": rows} for name, rows in zip(names, counts, strict=True)],
        "split": {
            "train": len(parts.train_targets),
            "validation": len(parts.val_targets),
            "test": len(parts.test_targets),
        },
        "checksum": data.checksum,
        "origin": dict(data.origin),
    }


def text_of(content: dict[str, Any]) -> str:
    """Return what a data set holds as text."""
    shape, classes, sizes = content["shape"], content["classes"], content["split"]
    inputs = f"{shape[0]} numbers" if len(shape) == 1 else f"images of shape {tuple(shape)}"
    origin = ", ".join(f"{key} {value}" for key, value in content["origin"].items())
    rows = [[item["name"][:_LONGEST_NAME], str(item["rows"])] for item in classes[:_MOST_SHOWN]]
    lines = [
        f"Data set {clean(content['name'])}",
        f"Rows: {content['rows']}",
        f"Inputs of a network: {inputs}",
        *_column_lines(content["columns"], shape),
        f"Classes: {len(classes)}",
        f"Parts: {sizes['train']} training, {sizes['validation']} validation, {sizes['test']} test",
        f"Checksum: {content['checksum']}",
        *([f"Origin: {clean(origin)}"] if origin else []),
        "",
        table(["CLASS", "ROWS"], rows, right=(1,)),
        *([f"and {len(classes) - _MOST_SHOWN} more"] if len(classes) > _MOST_SHOWN else []),
    ]
    return "\n".join(lines)


def _column_lines(columns: list[dict[str, Any]], shape: list[int]) -> Iterator[str]:
    """Yield how many columns of a table are numbers and categories, and which have missing values."""
    if not columns:
        if len(shape) == 1:
            yield f"Columns: {shape[0]} of numbers"
        return
    categories = sum(bool(item["categories"]) for item in columns)
    yield f"Columns: {len(columns)}, {len(columns) - categories} of numbers, {categories} of categories"
    gaps = [f"{item['name'][:_LONGEST_NAME]} ({item['missing']})" for item in columns if item["missing"]]
    if gaps:
        more = ["…"] if len(gaps) > _MOST_SHOWN else []
        yield f"Missing values, filled in by the training part: {clean(', '.join(gaps[:_MOST_SHOWN] + more))}"
