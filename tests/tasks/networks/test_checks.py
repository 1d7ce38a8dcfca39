"""Sizes that do not fit one another are refused before anything trains, with those that would."""

from __future__ import annotations

from typing import Any

import pytest

from hpbench.suite import Suite, SuiteError
from hpbench.tasks import networks


def suite(network: str, space: dict[str, Any]) -> Suite:
    """Return a suite with one task of ``network``."""
    return Suite.of(
        {
            "schema": 1,
            "name": "sizes",
            "root_seed": 1,
            "repetitions": 1,
            "budget": {"trials": 1},
            "tasks": [{"dataset": "digits", "network": network, "epochs": 1, "space": space}],
            "strategies": [{"use": "random"}],
        }
    )


@pytest.mark.parametrize(
    ("network", "space", "message"),
    [
        (
            "resnet",
            {"channels": 12},
            "`channels` must be a multiple of 8, got 12; use 8 or 16 (tasks[0].space).",
        ),
        ("resnet", {"channels": [8, 20, 32]}, "`channels` must be a multiple of 8, got 20; use 16 or 24"),
        (
            "transformer",
            {"width": [16, 32], "heads": [1, 3]},
            "`width` must be a multiple of 24 where `heads` is 3, 8 features for each, got 16; use 24",
        ),
        (
            "transformer",
            {"heads": 4},
            "must be a multiple of 32 where `heads` is 4, 8 features for each, got 16",
        ),
        ("transformer", {"width": 20}, "`width` must be a multiple of 8 where `heads` is 1"),
    ],
)
def test_sizes_that_leave_a_remainder_are_refused(network: str, space: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        suite(network, space)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("network", "space"),
    [
        ("resnet", {"channels": [8, 24]}),
        ("resnet-batchnorm", {"channels": [9, 13]}),
        ("transformer", {"width": [24, 48], "heads": [1, 3]}),
        *[(name, {"batch_size": 32}) for name in networks.REGISTRY.builtin],
    ],
)
def test_sizes_that_fit_are_taken(network: str, space: dict[str, Any]) -> None:
    assert suite(network, space).tasks[0].network == network
