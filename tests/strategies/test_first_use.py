"""Importing a library, at the first use of a strategy in a process, leaves the global generators alone, too."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hpbench.strategies import EXTRAS, REGISTRY

CODE = """
import random, sys
import numpy as np
from hpbench.testing.strategy_kit import FULL_EPOCHS, SPACES
from hpbench.testing.driving import drive, never
from hpbench.strategies.factory import create

def states():
    return random.getstate(), str(np.random.get_state(legacy=False))

for name in sys.argv[1:]:
    before = states()
    strategy = create(name, SPACES["mixed"], full_epochs=FULL_EPOCHS, seed=1, budget_trials=12, options={})
    drive(strategy, SPACES["mixed"], FULL_EPOCHS, 12, never)
    if states() != before:
        print(name)
"""
MODULES = sorted({entry.partition(":")[0] for entry in REGISTRY.builtin.values()})


@pytest.mark.parametrize("module", MODULES)
def test_global_generators_are_untouched_from_the_first_import_on(module: str) -> None:
    extra = EXTRAS.get(module)
    if extra is not None and extra.missing():
        pytest.skip(f"needs the extra {extra.name!r}")
    names = [name for name, entry in REGISTRY.builtin.items() if entry.startswith(f"{module}:")]
    done = subprocess.run([sys.executable, "-c", CODE, *names], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
