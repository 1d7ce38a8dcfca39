"""Suites: TOML files that say what is compared, read strictly.

Unknown keys, names and impossible ranges are errors that name the file, the key, what was expected,
what arrived and the nearest known name.
"""

from __future__ import annotations

from hpbench.suite.models import Budget, Final, Limits, SuiteStrategy, SuiteTask, Validation
from hpbench.suite.problems import Problem, SuiteError
from hpbench.suite.reading import bundled_suites, load_suite, parse_suite
from hpbench.suite.spaces import space_of
from hpbench.suite.suite import Suite

__all__ = [
    "Budget",
    "Final",
    "Limits",
    "Problem",
    "Suite",
    "SuiteError",
    "SuiteStrategy",
    "SuiteTask",
    "Validation",
    "bundled_suites",
    "load_suite",
    "parse_suite",
    "space_of",
]
