from __future__ import annotations

import random
import threading

import numpy as np
import pytest
import torch

from hpbench.strategies.isolation import PrivateGenerators, in_a_daemon
from hpbench.testing import global_generators


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: S311, NPY002 - of those it is


def draw_and_fail() -> float:
    with PrivateGenerators(1):
        return sum(draws()) / 0


def test_outside_nothing_is_read_or_changed_and_inside_the_stream_goes_on() -> None:
    with global_generators.preserved():
        streams = []
        for outer_seed in (1, 2):
            global_generators.seed_all(outer_seed)
            before = global_generators.fingerprint()
            private = PrivateGenerators(7)
            stream = []
            for _ in range(3):
                with private:
                    stream.append(draws())
                assert global_generators.fingerprint() == before
            streams.append(stream)
        assert streams[0] == streams[1]
        assert len(set(streams[0])) == 3
        with PrivateGenerators(8):
            assert draws() not in streams[0]


def test_an_error_inside_puts_the_global_generators_back() -> None:
    with global_generators.preserved():
        before = global_generators.fingerprint()
        with pytest.raises(ZeroDivisionError):
            draw_and_fail()
        assert global_generators.fingerprint() == before


def test_what_runs_in_a_daemon_answers_and_raises_as_if_it_did_not() -> None:
    def starts_one() -> bool:
        inner = threading.Thread(target=draws)
        return inner.daemon

    with global_generators.preserved():
        assert in_a_daemon(starts_one)
        assert not starts_one()
        with pytest.raises(ZeroDivisionError):
            in_a_daemon(draw_and_fail)
