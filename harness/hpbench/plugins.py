"""Own code from the command line: ``--plugin FILE`` runs a Python file before anything else.

The file registers what it brings: ``hpbench.strategies.REGISTRY.add("mine", MyStrategy)``. It is run
with the rights of the user, in the main process and in every worker. Suites can never name one, and
reports never run one.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from hpbench.errors import HpbenchError, UsageError

__all__ = ["load_plugins", "plugin_module", "reset"]

_loaded: dict[Path, str] = {}


def plugin_module(path: Path) -> str:
    """Return the name under which the module of the plugin ``path`` can be imported once it is loaded."""
    return f"hpbench_plugin_{path.stem.replace('-', '_')}"


def load_plugins(paths: Sequence[Path]) -> None:
    """Run each file once in this process.

    Raises:
        UsageError: a file is missing, raises or exits when it is run, or shares its name with another plugin.
    """
    for path in paths:
        place = path.resolve()
        if place not in _loaded:
            _load(place)


def reset() -> None:
    """Forget which files were run; for tests. What they registered is the registries' to forget."""
    for name in _loaded.values():
        sys.modules.pop(name, None)
    _loaded.clear()


def _load(path: Path) -> None:
    """Run the file ``path`` as a module of its own."""
    name = plugin_module(path)
    if name in _loaded.values():
        raise UsageError(f"two plugins are called {path.stem!r}; rename {path}.")
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UsageError(f"--plugin must name a Python file, got {path}; check the path.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, HpbenchError | KeyboardInterrupt):
            raise
        raise UsageError(f"plugin {path} cannot be loaded: {_what_it_raised(error, path)}") from error
    _loaded[path] = name


def _what_it_raised(error: BaseException, path: Path) -> str:
    """Return type and message of what the file ``path`` raised, and the line of it that was reached."""
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    return f"{text} ({path.name}, line {lines[-1]})" if lines else text
