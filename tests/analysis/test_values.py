from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from hpbench.analysis.comparison import study_of
from hpbench.analysis.frames import Frames
from hpbench.analysis.values import value_table


def test_a_failed_run_of_a_function_is_worse_than_every_value(study_with: Callable[..., Frames]) -> None:
    base = np.linspace(3.0, 4.0, 10)
    crashed = np.where(np.arange(10) < 5, math.inf, base - 1.0)
    frames = study_with({"branin": np.stack([base, crashed, np.full(10, math.inf)])})
    frames.info.tasks["branin"]["counts"] = False
    rows = value_table(study_of(frames)).values.set_index("strategy")
    assert rows.loc["grid", "p"] == pytest.approx(7 / 32)  # five of rank 3 against five of rank 8
    assert rows.loc["grid", "value"] == pytest.approx(np.mean(base[5:] - 1.0))
    assert rows.loc["skopt-gp", "p"] == pytest.approx(2 * 2 / 2**10)
    assert rows["enough"].tolist() == [False, True, True]
