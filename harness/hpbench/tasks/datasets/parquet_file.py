"""Parquet files, read with pyarrow, the extra ``parquet``; their columns say themselves what they hold."""

from __future__ import annotations

import importlib.util
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import MissingExtraError, UsageError
from hpbench.tasks.datasets.base import Column
from hpbench.tasks.datasets.tables import Table, check_header, shown

__all__ = ["read_parquet"]


def read_parquet(content: bytes, *, target: str | None) -> Table:
    """Return the table in a Parquet file: numbers and truth values are numbers, texts are categories.

    Args:
        content: the file.
        target: the column to predict.

    Raises:
        MissingExtraError: pyarrow is not installed.
        UsageError: it is no Parquet file, or a column holds neither numbers nor text.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("a Parquet file", "parquet")
    import pyarrow as pa  # noqa: PLC0415 - optional
    from pyarrow import parquet  # noqa: PLC0415

    try:
        found = parquet.read_table(io.BytesIO(content), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"the file must be a whole Parquet file, it cannot be read: {reason.rstrip('.')}."
        ) from error
    check_header(found.column_names, target=target)
    if not found.num_rows:
        raise UsageError("a Parquet file must hold rows, this one has none.")
    made = [
        _column(name, values.combine_chunks())
        for name, values in zip(found.column_names, found.columns, strict=True)
    ]
    return Table([column for column, _ in made], [values for _, values in made])


def _column(name: str, values: Any) -> tuple[Column, NDArray[np.float64]]:
    """Return one column and its values; ``values`` is an array of pyarrow."""
    import pyarrow as pa  # noqa: PLC0415

    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.dictionary_decode(), kind.value_type
    if pa.types.is_null(kind):
        return Column(name), np.full(len(values), np.nan)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return Column(name), np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    if pa.types.is_decimal(kind):
        return Column(name), np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _texts(name, values)
    raise UsageError(
        f"a column must hold numbers, truth values or text, column {shown(name)} holds {shown(kind)}; convert or "
        "remove it."
    )


def _texts(name: str, values: Any) -> tuple[Column, NDArray[np.float64]]:
    """Return a column of texts with its categories sorted."""
    coded = values.dictionary_encode()
    try:
        texts = coded.dictionary.to_pylist()
    except UnicodeDecodeError as error:
        raise UsageError(f"column {shown(name)} must hold UTF-8 text, it does not; write it anew.") from error
    order = sorted(range(len(texts)), key=texts.__getitem__)
    place = np.empty(len(texts))
    place[order] = np.arange(len(texts))
    codes = np.asarray(coded.indices.to_numpy(zero_copy_only=False), dtype=np.float64)
    known = ~np.isnan(codes)
    codes[known] = place[codes[known].astype(np.int64)]
    return Column(name, tuple(texts[number] for number in order)), codes
