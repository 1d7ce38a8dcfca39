"""Reading suites from files and finding those that come with hpbench."""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from hpbench.errors import UnsuitableSpaceError, UsageError, did_you_mean
from hpbench.strategies import REGISTRY as STRATEGIES
from hpbench.strategies.base import Capability
from hpbench.strategies.factory import create
from hpbench.suite.models import SuiteTask
from hpbench.suite.problems import Problem, SuiteError, join_path
from hpbench.suite.spaces import space_of
from hpbench.suite.suite import Suite
from hpbench.tasks import datasets, networks
from hpbench.tasks.datasets.images import shape_hint
from hpbench.tasks.networks.checks import check_smoothing

__all__ = ["bundled_suites", "load_suite", "parse_suite"]

_LARGEST_BYTES = 1_000_000
_LONGEST_LINE = 10_000
_LONGEST_PATH = 300
_SUFFIX = ".toml"


def load_suite(path_or_name: str | Path, *, check_data: bool = True) -> tuple[Suite, str]:
    """Return a suite and the text of its file.

    Nothing is trained, but what cannot work is found: data that cannot be read, a network that cannot
    take the data set's inputs, a strategy whose options have impossible values. Data are read anew,
    for a file may have changed since an earlier study of this process.

    Args:
        path_or_name: a file, or the name of a bundled suite such as ``"small"``; a file wins.
        check_data: whether data are loaded to be checked, and fetched if need be.

    Raises:
        UsageError: there is no such suite, or it cannot be used.
    """
    datasets.load.cache_clear()
    source = _short(path_or_name)
    path = _found(path_or_name, source)
    text = _text_of(path, source)
    suite = Suite.of(_document(text, source), source=source, folder=path.parent)
    problems = list(_input_problems(suite) if check_data else ()) or list(_building_problems(suite))
    if problems:
        raise SuiteError(problems, source)
    return suite, text


def parse_suite(text: str, *, source: str | None = None) -> Suite:
    """Return the suite that TOML text describes.

    Args:
        text: the file's content.
        source: the file's name, for messages.

    Raises:
        SuiteError: the text is no TOML, or no legal suite.
    """
    return Suite.of(_document(text, source), source=source)


def bundled_suites() -> dict[str, Path]:
    """Return the suites that come with hpbench, name → file, sorted.

    They lie inside an installed package, and beside it in a source checkout.
    """
    package = Path(str(resources.files("hpbench")))
    for folder in (package / "suites", package.parents[1] / "suites"):
        files = sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []
        if files:
            return {file.stem: file for file in files}
    return {}


def _found(path_or_name: str | Path, source: str) -> Path:
    """Return the file meant by a path or a bundled name."""
    path, bundled = Path(path_or_name), bundled_suites()
    try:
        kind = _kind(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SuiteError([Problem(f"the path cannot be used: {reason}.")], source) from error
    if kind == "file":
        return path
    if str(path_or_name) in bundled:
        return bundled[str(path_or_name)]
    if kind:
        raise SuiteError([Problem(f"a suite must be a TOML file, got a {kind}.")], source)
    name = path.name.removesuffix(_SUFFIX)
    hint = f" Did you mean the bundled suite {name!r}?" if name in bundled else did_you_mean(name, bundled)
    known = ", ".join(bundled) or "none"
    raise SuiteError(
        [Problem(f"no such file, and no bundled suite of that name.{hint} Bundled: {known}.")],
        source,
    )


def _kind(path: Path) -> str:
    """Return what lies at ``path``; empty if nothing does."""
    if path.is_file():
        return "file"
    if path.is_dir():
        return "folder"
    return "special file" if path.exists() else ""


def _short(path: str | Path) -> str:
    """Return a path that is safe to show, cut where it is absurdly long."""
    text = str(path)
    return (text if text.isprintable() and text else repr(text))[:_LONGEST_PATH]


def _text_of(path: Path, source: str) -> str:
    """Return the text of a suite file, without the mark that some editors put before UTF-8."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise SuiteError([Problem(f"the file cannot be read: {error.strerror}.")], source) from error
    if len(content) > _LARGEST_BYTES:
        raise SuiteError(
            [Problem(f"a suite must be at most {_LARGEST_BYTES} bytes, this file is larger.")], source
        )
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SuiteError([Problem("a suite must be UTF-8 text, got UTF-16; save it as UTF-8.")], source)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SuiteError(
            [Problem(f"a suite must be UTF-8 text, line {line} is not; save it as UTF-8.")], source
        ) from error
    return text.replace("\r\n", "\n")


def _document(text: str, source: str | None) -> dict[str, Any]:
    """Return the parsed TOML document."""
    if any(len(line) > _LONGEST_LINE for line in text.splitlines()):
        # tomllib takes quadratic time for a dotted key of many parts.
        raise SuiteError(
            [Problem(f"a line must be at most {_LONGEST_LINE} characters, one is longer.")], source
        )
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise SuiteError([Problem("lists and tables are nested too deeply.")], source) from error
    except tomllib.TOMLDecodeError as error:
        raise SuiteError([Problem(f"a suite must be valid TOML: {error}.")], source) from error
    except ValueError as error:
        raise SuiteError(
            [Problem("a whole number must fit into 64 bits, one is far longer.")], source
        ) from error


def _input_problems(suite: Suite) -> Iterator[Problem]:
    """Yield tasks whose data cannot be used, or not by their network.

    Data that come with hpbench are loaded here only where a task is particular about them.
    """
    for index, task in enumerate(suite.tasks):
        if task.function is not None:
            continue
        wanted = (task.target, task.target_kind, task.shape, task.subset)
        family, own = networks.REGISTRY.get(task.network), task.network not in networks.REGISTRY.builtin
        particular = own or family.inputs == "image" or "label_smoothing" in task.space
        if not particular and not any(wanted) and not datasets.from_source(task.dataset):
            continue
        try:
            dataset = datasets.load(suite.data(task))
            check_smoothing(dataset, space_of(task))
        except UsageError as error:
            yield Problem(str(error), join_path("tasks", index))
            continue
        shape = dataset.shape
        if family.inputs == "image" and len(shape) == 1:
            yield Problem(
                f"network {task.network!r} needs images of shape (channels, height, width), but data set "
                f"{task.dataset!r} has inputs of shape {shape}.{shape_hint(shape)}",
                join_path("tasks", index, "network"),
            )
        elif own:
            yield from _own_problems(task, dataset, join_path("tasks", index, "network"))


def _own_problems(task: SuiteTask, dataset: datasets.Dataset, path: str) -> Iterator[Problem]:
    """Yield why a network that does not come with hpbench cannot be trained, tried on two examples."""
    from hpbench.tasks.training.probe import probe  # noqa: PLC0415 - imports torch, other suites do without

    try:
        probe(networks.REGISTRY.get(task.network), space_of(task), dataset.shape, dataset.n_classes)
    except UsageError as error:
        yield Problem(str(error), path)


def _building_problems(suite: Suite) -> Iterator[Problem]:
    """Yield strategies that cannot be built as the suite asks, the first task that shows it for each.

    A pairing that the plan will refuse, since the strategy cannot search the space, is left to the plan.
    """
    for index, strategy in enumerate(suite.strategies):
        kind = STRATEGIES.get(strategy.use)
        for task in suite.tasks:
            space = space_of(task)
            if space.conditional and Capability.CONDITIONAL not in kind.capabilities:
                continue
            try:
                create(
                    strategy.use,
                    space,
                    full_epochs=task.epochs,
                    seed=0,
                    budget_trials=suite.budget_trials(task),
                    options=strategy.options,
                )
            except UnsuitableSpaceError:
                continue
            except UsageError as error:
                message = f"strategy {strategy.name!r} on task {task.name!r}: {error}"
                place = ("strategies", index, "options") if strategy.options else ("strategies", index)
                yield Problem(message, join_path(*place))
                break
