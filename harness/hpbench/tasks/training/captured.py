"""A step captured in a CUDA graph: its hundreds of kernels are launched as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["Capture", "CapturedStep", "cuda_graph"]

_WARM_UPS = 3
"""Runs before a capture, in which libraries allocate what a capture must not; torch recommends three."""

Capture = Callable[[Callable[[], object]], Callable[[], object]]
"""Takes work on tensors that stay where they are; returns what does that work again."""


def cuda_graph(work: Callable[[], object]) -> Callable[[], object]:
    """Return the replay of ``work``, captured and not run."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class CapturedStep:
    """A step of fixed tensors, a few of which are filled anew before every replay.

    Args:
        step: of a cohort.
        state: parameters and moments, changed in place by every call.
        fed: examples of what changes from step to step: shapes and types, not values.
        arrange: ``(state, fed) -> arguments of the step``.
        capture: how to capture; on CUDA ``cuda_graph``.
    """

    def __init__(
        self,
        step: Callable[..., object],
        state: Sequence[Tensor],
        fed: Sequence[Tensor],
        arrange: Callable[[Sequence[Tensor], Sequence[Tensor]], Sequence[Tensor]],
        *,
        capture: Capture,
    ) -> None:
        self._fed = [tensor.clone() for tensor in fed]
        spare = [tensor.clone() for tensor in state]  # warming up must not train
        _warm_up(lambda: step(*arrange(spare, self._fed)), self._fed[0].device)
        # A graph holds addresses, not tensors: what the work reads lives as long as its replays.
        self._work = lambda: step(*arrange(state, self._fed))
        self._replay = capture(self._work)

    def __call__(self, *fed: Tensor) -> None:
        """Take one step with what is fed."""
        for place, tensor in zip(self._fed, fed, strict=True):
            place.copy_(tensor)
        self._replay()


def _warm_up(work: Callable[[], object], device: torch.device) -> None:
    """Run ``work`` a few times, on CUDA beside the current stream as a capture wants it."""
    if device.type != "cuda":
        work()
        return
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UPS):
            work()
    torch.cuda.current_stream(device).wait_stream(aside)
