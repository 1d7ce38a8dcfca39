"""A search space as Nevergrad's nested parameters, and what it suggests for them as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hpbench.space import Categorical, Condition, Float, Parameter, SearchSpace
from hpbench.strategies.adapting import plain, searched
from hpbench.trial import Value

__all__ = ["flat", "nested"]

_FEW = 10
"""Below so many values the library advises against casting to integers, and for transitions."""


def nested(space: SearchSpace, conditions: Mapping[str, Condition | None]) -> Any:
    """Return the space as the library's nested parameters."""
    import nevergrad  # noqa: PLC0415 - slow, and listing does without

    def branch(parent: str | None, value: Value | None = None) -> Any:
        """Return what waits for ``value`` of ``parent``, or for nothing, as a dictionary of parameters."""
        held = {}
        for item in searched(space):
            when = conditions[item.name]
            if (when is None and parent is None) or (
                when is not None and when.parent == parent and value is not None and when.allows(value)
            ):
                held[item.name] = node(item)
        return nevergrad.p.Dict(**held)

    def node(item: Parameter) -> Any:
        """Return the library's parameter for ``item``, with what waits for it."""
        if not any(when is not None and when.parent == item.name for when in conditions.values()):
            return _leaf(item)
        assert isinstance(item, Categorical), "checked before"  # noqa: S101 - our own invariant
        kind = nevergrad.p.TransitionChoice if item.ordered else nevergrad.p.Choice
        return kind(
            [nevergrad.p.Tuple(place, branch(item.name, choice)) for place, choice in enumerate(item.choices)]
        )

    return branch(None)


def _leaf(item: Parameter) -> Any:
    """Return the library's parameter for a hyperparameter that nothing waits for."""
    import nevergrad  # noqa: PLC0415 - slow, and listing does without

    if isinstance(item, Categorical):
        kind = nevergrad.p.TransitionChoice if item.ordered else nevergrad.p.Choice
        return kind(range(len(item.choices)))
    if isinstance(item, Float):
        kind = nevergrad.p.Log if item.log else nevergrad.p.Scalar
        return kind(lower=item.low, upper=item.high)
    if item.log:
        return nevergrad.p.Log(lower=item.low, upper=item.high).set_integer_casting()
    if item.n_values < _FEW:
        return nevergrad.p.TransitionChoice(range(item.low, item.high + 1))
    return nevergrad.p.Scalar(lower=item.low, upper=item.high).set_integer_casting()


def flat(space: SearchSpace, value: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield the name and plain value of everything in a nested suggestion."""
    for name, suggested in value.items():
        if isinstance(suggested, tuple):
            place, held = suggested
            yield name, plain(space[name], place)
            yield from flat(space, held)
        else:
            yield name, plain(space[name], suggested)
