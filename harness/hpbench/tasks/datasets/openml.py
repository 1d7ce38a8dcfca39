"""``openml:NAME``, ``openml:NAME@VERSION`` and ``openml:ID``: data sets of openml.org, fetched once and kept.

scikit-learn fetches and parses them, and compares the file with the MD5 checksum that OpenML states.
What arrived whole is kept in the cache folder, so that the next use needs no network and gets the very
same version.

References:
    Vanschoren, van Rijn, Bischl & Torgo (2013), "OpenML: networked science in machine learning".
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import tempfile
import time
import urllib.request
import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import UsageError
from hpbench.files import cache_folder
from hpbench.tasks.datasets.base import Column, Dataset, DataSpec
from hpbench.tasks.datasets.tables import Table, check_header, dataset_of

__all__ = ["URL_VARIABLE", "from_openml"]

URL_VARIABLE = "HPBENCH_OPENML_URL"
"""The environment variable that names a mirror to ask in place of https://www.openml.org."""

_REFERENCE = re.compile(r"(?P<id>[0-9]{1,9})|(?P<name>[A-Za-z0-9_.()+-]{1,128})(@(?P<version>[0-9]{1,6}))?")
_QUOTED = re.compile(r"^'(.*)'$", re.DOTALL)
_HOST = "openml.org"
_KNOWN_MISSING = 412
_ATTEMPTS = 3
_DELAY_SECONDS = 1.0
_TIMEOUT_SECONDS = 60.0
_BROKEN = (OSError, HTTPException, EOFError, ValueError, LookupError, TypeError, zlib.error)
"""What scikit-learn raises for answers that are cut off, changed, or not what OpenML would say."""


def from_openml(wanted: DataSpec) -> Dataset:
    """Return a data set of openml.org by name, NAME@VERSION or number, fetched once and kept.

    Without a version it is the oldest that is active, as scikit-learn does it; once it is kept, it stays
    that one. The target is the one that OpenML states, unless ``wanted`` names a column.

    Raises:
        UsageError: the name is no reference, there is no such data set, it cannot be reached or has
            another checksum, or its columns cannot be used.
    """
    found = _REFERENCE.fullmatch(wanted.rest)
    if found is None:
        raise UsageError(
            f"data set {wanted.name!r}: 'openml:' must be followed by a name, NAME@VERSION or a number, such as "
            "'openml:adult', 'openml:adult@2' or 'openml:1590'."
        )
    query: dict[str, Any] = {"version": "active"}
    if found["id"]:
        query["data_id"] = int(found["id"])
    else:
        query["name"] = found["name"].lower()
        query["version"] = int(found["version"]) if found["version"] else "active"
    try:
        return _dataset(wanted, _kept(wanted, query))
    except UsageError as error:
        raise UsageError(f"data set {wanted.name!r}: {error}") from error


def _kept(wanted: DataSpec, query: dict[str, Any]) -> Any:
    """Return what scikit-learn makes of the data set, from the cache or else from the network.

    What is kept but cannot be read stays until its replacement is whole: no network may bring it back.
    """
    folder = cache_folder("openml") / f"set-{wanted.rest.lower()}"
    if not folder.is_dir():
        return _fetched(query, folder, damaged=False)
    try:
        with _network(None):
            return _fetch(query, folder)
    except (_NoNetworkError, *_BROKEN) as error:
        damage = f"{type(error).__name__}: {error}" if str(error) else "a file is missing"
    try:
        return _fetched(query, folder, damaged=True)
    except UsageError as error:
        raise UsageError(f"{error} What is kept in {folder} cannot be read ({damage}).") from error


def _fetched(query: dict[str, Any], folder: Path, *, damaged: bool) -> Any:
    """Return what scikit-learn makes of the data set, from the network, and keep it in ``folder``.

    A download is made in a folder beside it and moved there when it is whole; what is damaged there goes then.
    """
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".fetching-"))
    try:
        with _network(os.environ.get(URL_VARIABLE, "")):
            bunch = _fetch(query, draft / "new")
        if damaged:
            with suppress(FileNotFoundError):
                folder.rename(draft / "old")
        if not folder.exists():  # else another process was quicker
            (draft / "new").rename(folder)
    except _BROKEN as error:
        raise UsageError(_reason(error)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return bunch


def _fetch(query: dict[str, Any], folder: Path) -> Any:
    """Return scikit-learn's bunch, in whose frame nominal columns are texts.

    scikit-learn would have pandas make them categories, but pandas 3.1 makes categories such as
    ``0, 1, 2`` numbers, which scikit-learn 1.9.1 cannot take. So the first call fetches and checks
    everything and reads one row; what the columns are is then taken from OpenML's own description.
    """
    _parsed(query, folder, {"nrows": 1, "dtype": defaultdict(lambda: str)})
    (file,) = folder.rglob("data/features/*.gz")
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        features = json.load(stream)["data_features"]["feature"]
    texts = [place for place, item in enumerate(features) if item["data_type"] == "nominal"]
    return _parsed(query, folder, {"dtype": dict.fromkeys(texts, str)})


def _parsed(query: dict[str, Any], folder: Path, options: dict[str, Any]) -> Any:
    """Return what scikit-learn parses with these options of ``pandas.read_csv``, fetching what is missing.

    Its warnings are about versions and retries: the origin tells the former, an error the latter.
    """
    from sklearn.datasets import fetch_openml  # noqa: PLC0415 - scikit-learn is slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fetch_openml(
            **query, data_home=str(folder), as_frame=True, parser="pandas", read_csv_kwargs=options
        )


def _reason(error: BaseException) -> str:
    """Return why a download failed, as text that says what to do."""
    text = str(error) or type(error).__name__
    if "md5" in text:
        return (
            "the file that arrived does not have the MD5 checksum that OpenML states: it was cut off or changed on "
            "its way. Nothing of it is kept; try again."
        )
    if "Sparse" in text:
        return "its table is sparse, which is not supported; choose another data set."
    if "not found" in text or text.startswith("No active dataset"):
        return f"OpenML has no such data set ({text.rstrip('.')}); check name, version or number."
    return f"OpenML's answer cannot be used ({type(error).__name__}: {text.rstrip('.')}); try again later."


@contextmanager
def _network(base: str | None) -> Iterator[None]:
    """Let urllib, through which scikit-learn fetches, go through :class:`_Opener` for a while.

    Args:
        base: a mirror in place of https://www.openml.org, or empty; None: ask nobody.
    """
    before = getattr(urllib.request, "_opener", None)
    urllib.request.install_opener(_Opener(base))
    try:
        yield
    finally:
        urllib.request.install_opener(before)


class _NoNetworkError(Exception):
    """Something is missing in the cache, and the network was not to be asked."""


class _Opener(urllib.request.OpenerDirector):
    """Opens addresses of OpenML: at the mirror if there is one, with patience, but not for ever."""

    def __init__(self, base: str | None) -> None:
        super().__init__()
        if base and urlsplit(base).scheme not in {"http", "https"}:
            raise UsageError(f"{URL_VARIABLE} must begin with http:// or https://, got {base!r}.")
        self._base = base
        self._inner = urllib.request.build_opener()
        self._failure: UsageError | None = None

    def open(
        self,
        fullurl: urllib.request.Request | str,
        data: Any = None,
        timeout: float | None = None,
    ) -> Any:
        """Return the response; scikit-learn may ask again after an error and then gets the same one."""
        del data, timeout
        if self._base is None:
            raise _NoNetworkError
        if self._failure is not None:
            raise self._failure
        request = self._moved(fullurl)
        for left in reversed(range(_ATTEMPTS)):
            try:
                return self._inner.open(request, timeout=_TIMEOUT_SECONDS)
            except HTTPError as error:
                error.close()
                if error.code == _KNOWN_MISSING:  # which scikit-learn understands
                    raise HTTPError(
                        error.url, error.code, error.reason, error.headers, io.BytesIO()
                    ) from error
                reason = f"OpenML answered {error.code} {error.reason} to {request.full_url}"
            except (OSError, HTTPException) as error:
                reason = f"{request.full_url} cannot be reached ({error})"
            if left:
                time.sleep(_DELAY_SECONDS)
        self._failure = UsageError(
            f"{reason}. It is needed once, later uses take what is kept; check the network, or {URL_VARIABLE}."
        )
        raise self._failure

    def _moved(self, given: urllib.request.Request | str) -> urllib.request.Request:
        """Return the request, to the mirror if it was to OpenML."""
        request = urllib.request.Request(given) if isinstance(given, str) else given  # noqa: S310 - checked next
        address = urlsplit(request.full_url)
        if address.scheme not in {"http", "https"}:
            raise UsageError(
                f"OpenML says that the data lie at {request.full_url!r}, which is no web address."
            )
        host = address.hostname or ""
        if not self._base or (host != _HOST and not host.endswith(f".{_HOST}")):
            return request
        query = f"?{address.query}" if address.query else ""
        url = f"{self._base.rstrip('/')}{address.path}{query}"
        return urllib.request.Request(url, headers=request.headers)  # noqa: S310 - checked above


def _dataset(wanted: DataSpec, bunch: Any) -> Dataset:
    """Return the data set in what scikit-learn returned."""
    details = bunch.details
    name = f"openml:{details['name'].lower()}@{details['version']}"
    origin = {
        "source": "openml",
        "id": int(details["id"]),
        "name": details["name"],
        "version": int(details["version"]),
        "md5": details["md5_checksum"],
    }
    names = [str(column) for column in bunch.frame.columns]
    target = wanted.target
    if target is None and len(bunch.target_names) == 1:
        target = str(bunch.target_names[0])
    check_header(names, target=target)
    made = [_column(label, bunch.frame.iloc[:, place]) for place, label in enumerate(names)]
    table = Table([column for column, _ in made], [values for _, values in made])
    return dataset_of(name, table, target=target or "", origin=origin, regression=wanted.regression)


def _column(name: str, series: Any) -> tuple[Column, NDArray[np.float64]]:
    """Return one column and its values; ``series`` is one of pandas."""
    if series.dtype.kind in "biuf":
        return Column(name), series.to_numpy(dtype=np.float64, na_value=np.nan)
    coded = series.astype("category").cat
    texts = [_QUOTED.sub(r"\1", str(text)) for text in coded.categories]
    names = sorted(set(texts))
    place = {text: number for number, text in enumerate(names)}
    codes = np.array([place[text] for text in texts] + [np.nan])[coded.codes.to_numpy()]  # -1 is missing
    return Column(name, tuple(names)), codes
