"""Tests of signals as requests."""

from __future__ import annotations

import os
import select
import signal

import pytest

from hpbench.signals import signals_as_requests


def readable(end: int) -> bool:
    """Return whether a read would give something now."""
    return bool(select.select([end], [], [], 0.0)[0])


def test_a_signal_rings_until_it_is_quiet_and_no_number_of_them_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "pipe2", raising=False)  # macOS has none
    with signals_as_requests() as requests:
        assert not readable(requests.wakeup)
        assert not os.get_inheritable(requests.wakeup)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert readable(requests.wakeup)
        assert (requests.count, requests.first) == (2, signal.SIGTERM)
        requests.quiet()
        assert not readable(requests.wakeup)
        requests.quiet()
        while select.select([], [requests._bell], [], 0.0)[1]:
            os.write(requests._bell, b"!" * 512)
        requests.take(signal.SIGINT)
        assert requests.count == 3
