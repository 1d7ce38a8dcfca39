from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hpbench.cli.show import documentation, parts_of, space_table
from hpbench.space import Categorical, Condition, Float, Integer, SearchSpace
from hpbench.strategies import REGISTRY as STRATEGIES
from hpbench.strategies.factory import describe_options
from hpbench.tasks.networks import REGISTRY as NETWORKS


@pytest.mark.parametrize("network", NETWORKS.names())
def test_a_task_shows_every_hyperparameter(call: Callable[..., Any], network: str) -> None:
    answer = call("show", "task", "digits", network)
    assert answer.code == 0
    first = {line.split()[0] for line in answer.out.splitlines() if line}
    assert set(NETWORKS.get(network).space.names) <= first
    assert "Data set digits: 1797 examples of shape (1, 8, 8), 10 classes" in answer.out
    assert "Where the defaults come from:" in answer.out
    assert max(map(len, answer.out.splitlines())) <= 110


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["digitz", "mlp"], "unknown data set 'digitz'. Did you mean 'digits'?"),
        (["digits", "mpl"], "unknown network 'mpl'. Did you mean 'mlp'?"),
        (["wine", "cnn"], "network 'cnn' takes images"),
    ],
)
def test_a_task_that_cannot_be_is_2(call: Callable[..., Any], words: list[str], expected: str) -> None:
    answer = call("show", "task", *words)
    assert answer.code == 2
    assert expected in answer.err


def test_a_space_as_a_table() -> None:
    space = SearchSpace(
        (
            Categorical("optimizer", ("sgd", "adam")),
            Float("rate", 1e-4, 0.1, log=True),
            Integer("layers", 1, 3),
            Float("momentum", 0.0, 0.99, when=Condition("optimizer", ("sgd",))),
            Categorical("nesterov", (False, True)),
        ),
        defaults={"rate": 1e-3, "nesterov": False},
    )
    header, *lines = (line.split() for line in space_table(space).splitlines())
    assert header == ["HYPERPARAMETER", "VALUES", "SCALE", "DEFAULT", "ONLY", "WHERE"]
    assert lines == [
        ["optimizer", "sgd,", "adam", "adam"],
        ["rate", "0.0001", "to", "0.1", "log", "0.001"],
        ["layers", "1", "to", "3", "2"],
        ["momentum", "0", "to", "0.99", "0.495", "optimizer", "in", "['sgd']"],
        ["nesterov", "false,", "true", "false"],
    ]


INSTALLED = [
    name for name in STRATEGIES.names() if (extra := STRATEGIES.extra_of(name)) is None or not extra.missing()
]


@pytest.mark.parametrize("name", INSTALLED)
def test_a_strategy_shows_every_option_with_its_meaning(call: Callable[..., Any], name: str) -> None:
    answer = call("show", "strategy", name)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert any(line.startswith("Library: ") for line in lines)
    assert any(line.startswith("Capabilities: ") for line in lines)
    _, meanings = documentation(STRATEGIES.get(name))
    for option in describe_options(name):
        assert any(line.startswith(f"{option.name}: ") for line in lines)
        assert meanings[option.name]
    assert "``" not in answer.out


def test_an_unknown_strategy_is_2(call: Callable[..., Any]) -> None:
    answer = call("show", "strategy", "randm")
    assert answer.code == 2
    assert "unknown strategy 'randm'. Did you mean 'random'?" in answer.err


def test_a_docstring_falls_into_what_it_says_and_what_its_arguments_mean() -> None:
    text = "Draws.\n\nLong story.\n\nArgs:\n    a: the ``first``\n        of two.\n    b: other.\n\nRaises:\n    E: c: d.\n"
    assert parts_of(text) == ("Draws.\n\nLong story.", {"a": "the first of two.", "b": "other."})


def test_a_docstring_without_arguments() -> None:
    assert parts_of("Draws.") == ("Draws.", {})
