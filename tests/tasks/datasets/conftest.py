"""A local server that speaks the OpenML protocol as scikit-learn uses it, with the faults of a real network."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hpbench.tasks import datasets
from hpbench.tasks.datasets import openml

Fault = Callable[[bytes], tuple[int, bytes, int]]
"""Given the right answer: the status, the body that is sent, and the length that is promised."""

MISSING = b'{"error":{"code":"372","message":"No results"}}'


def adult() -> str:
    """Return forty rows of a census: a number and a category with gaps, and two classes."""
    jobs = ("clerk", "cook", "?")
    rows = [
        f"{20 + row if row % 9 else '?'},{jobs[row % 3]},{'>50K' if row % 4 else '<=50K'}"
        for row in range(40)
    ]
    head = "@relation adult\n@attribute age numeric\n@attribute job {cook, clerk, guard}\n@attribute class {'<=50K', '>50K'}\n"
    return head + "@data\n" + "\n".join(rows) + "\n"


def pixels() -> str:
    """Return thirty images of eight by eight pixels, whose first pixel is the row's number."""
    names = [f"pixel{number}" for number in range(64)]
    head = "".join(f"@attribute {name} numeric\n" for name in names)
    rows = [",".join([str(row), *["0"] * 63, str(row % 3)]) for row in range(30)]
    return f"@relation pixels\n{head}@attribute class {{0, 1, 2}}\n@data\n" + "\n".join(rows) + "\n"


def feature(index: int, name: str, kind: str, missing: int = 0) -> dict[str, Any]:
    """Return what the protocol says of a column."""
    return {
        "index": str(index),
        "name": name,
        "data_type": kind,
        "is_target": "true" if name == "class" else "false",
        "is_ignore": "false",
        "is_row_identifier": "false",
        "number_of_missing_values": str(missing),
    }


FILES = {"adult.arff": adult(), "pixels.arff": pixels()}
FEATURES = {
    "adult.arff": [
        feature(0, "age", "numeric", 5),
        feature(1, "job", "nominal", 13),
        feature(2, "class", "nominal"),
    ],
    "pixels.arff": [
        *(feature(n, f"pixel{n}", "numeric") for n in range(64)),
        feature(64, "class", "nominal"),
    ],
}
SETS = {
    1590: ("adult", 2, "adult.arff"),
    179: ("adult", 1, "adult.arff"),
    7: ("pixels", 1, "pixels.arff"),
}
ACTIVE = {"adult": [1590], "pixels": [7]}


class Server:
    """The server, the requests that it saw, and the faults that it is told to have.

    Attributes:
        url: where it listens.
        paths: what was asked for, in order.
        faults: pattern of a path → what is answered in place of the truth.
        checksums: file → the MD5 checksum to state in place of the right one.
        place: where descriptions say that the files lie.
        gzipped: whether answers are compressed.
    """

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.faults: dict[str, Fault] = {}
        self.checksums: dict[str, str] = {}
        self.place = "https://www.openml.org/data/v1/download/{}"
        self.gzipped = False
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port; nobody answers any more. It may be called twice."""
        if not self._thread.is_alive():
            return
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, path: str) -> tuple[int, bytes]:
        """Return status and body for a path, as openml.org answers."""
        if found := re.fullmatch(r"/data/v1/download/(\w+\.arff)", path):
            return 200, FILES[found[1]].encode()
        if found := re.fullmatch(r"/api/v1/json/data/list/data_name/([\w-]+)/limit/2/(.*)", path):
            return self._listed(found[1], found[2])
        found = re.fullmatch(r"/api/v1/json/data/(features/|qualities/|)(\d+)", path)
        if not found or int(found[2]) not in SETS:
            return 412, MISSING
        return 200, json.dumps(self._described(found[1], int(found[2]))).encode()

    def _listed(self, name: str, rest: str) -> tuple[int, bytes]:
        version = re.match(r"data_version/(\d+)", rest)
        numbers = ACTIVE.get(name, [])
        if version:
            numbers = [
                key for key, (label, number, _) in SETS.items() if (label, number) == (name, int(version[1]))
            ]
        if not numbers:
            return 412, MISSING
        rows = [{"did": key, "name": name, "version": SETS[key][1], "status": "active"} for key in numbers]
        return 200, json.dumps({"data": {"dataset": rows}}).encode()

    def _described(self, what: str, number: int) -> dict[str, Any]:
        name, version, file = SETS[number]
        if what == "features/":
            return {"data_features": {"feature": FEATURES[file]}}
        if what == "qualities/":
            rows = FILES[file].partition("@data\n")[2].count("\n")
            return {"data_qualities": {"quality": [{"name": "NumberOfInstances", "value": f"{rows}.0"}]}}
        checksum = hashlib.md5(FILES[file].encode(), usedforsecurity=False).hexdigest()
        return {
            "data_set_description": {
                "id": str(number),
                "name": name,
                "version": str(version),
                "description": "for tests",
                "format": "ARFF",
                "status": "active",
                "file_id": "1",
                "url": self.place.format(file),
                "md5_checksum": self.checksums.get(file, checksum),
            }
        }


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    """Return the handler of requests to ``server``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.paths.append(self.path)
            status, body = server.answer(self.path)
            if server.gzipped:
                body = gzip.compress(body)
            length = len(body)
            for pattern, fault in server.faults.items():
                if re.search(pattern, self.path):
                    status, body, length = fault(body)
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            if server.gzipped:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """OpenML, as far as this process can tell; the cache is empty."""
    made = Server()
    monkeypatch.setenv(openml.URL_VARIABLE, made.url)
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(openml, "_DELAY_SECONDS", 0.0)
    datasets.load.cache_clear()
    yield made
    made.stop()
    datasets.load.cache_clear()
