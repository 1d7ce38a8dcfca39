"""hpbench compares hyperparameter search strategies on real neural-network training.

``hpbench.load("results/small")`` returns a finished :class:`hpbench.Study`, ``hpbench.run("small")``
runs a suite and returns one. Both are loaded when they are first named, so that importing hpbench
costs nothing.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpbench.api import Study, load, run

__version__ = "0.1.0"
__all__ = ["Study", "__version__", "load", "run"]


def __getattr__(name: str) -> Any:
    """Return what :mod:`hpbench.api` offers, loading it now.

    Raises:
        AttributeError: it offers nothing of that name.
    """
    if name in {"Study", "load", "run"}:
        before = random.getstate()
        import rich.style  # noqa: F401, PLC0415 -- being imported, by scikit-learn too, it draws a number

        random.setstate(before)
        from hpbench import api  # noqa: PLC0415 -- pandas and scipy take a second

        return getattr(api, name)
    raise AttributeError(f"module 'hpbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
