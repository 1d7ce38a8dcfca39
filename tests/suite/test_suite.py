"""A suite knows its runs, its budgets and its digest, and survives being written and read."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hpbench.errors import UsageError
from hpbench.suite import Suite, SuiteError, parse_suite, space_of
from hpbench.trial import RunKey

TASK = {"dataset": "iris", "network": "mlp", "epochs": 4}
CONTENT: dict[str, Any] = {
    "name": "quick",
    "root_seed": 7,
    "repetitions": 2,
    "budget": {"trials": 3},
    "tasks": [
        TASK,
        {**TASK, "dataset": "digits", "network": "cnn", "name": "images", "space": {"momentum": 0.5}},
    ],
    "strategies": [{"use": "random"}, {"use": "grid", "name": "coarse", "label": "Coarse grid"}],
}


def make(**changes: Any) -> Suite:
    return Suite.of({**CONTENT, **changes})


def problem(**changes: Any) -> str:
    with pytest.raises(SuiteError) as caught:
        make(**changes)
    return str(caught.value)


# ---- defaults


def test_defaults() -> None:
    suite = make()
    assert (suite.schema_version, suite.trainer, suite.clock) == (1, "reference", "measured")
    assert (suite.objective, suite.training_seeds, suite.threads) == ("error", "per_repetition", 1)
    assert (suite.validation.kind, suite.validation.fraction, suite.test_fraction) == ("holdout", 0.2, 0.2)
    assert (suite.limits.trial_seconds, suite.limits.max_failures) == (None, 10)
    assert suite.tasks[0].patience is None


@pytest.mark.parametrize(("trainer", "clock"), [("reference", "measured"), ("cohort", "modelled")])
def test_the_clock_by_default_is_the_one_that_the_trainer_can_keep(trainer: str, clock: str) -> None:
    assert make(trainer=trainer).clock == clock
    assert make(trainer=trainer).digest() == make(trainer=trainer, clock=clock).digest()


def test_cohorts_cannot_be_measured_but_the_reference_trainer_can_be_modelled() -> None:
    assert "no seconds of their own" in problem(trainer="cohort", clock="measured")
    assert make(trainer="reference", clock="modelled").clock == "modelled"


def test_whether_to_compile() -> None:
    assert make().compile == "auto"
    assert "`compile` must be 'auto', 'never' or 'always', got \"sometimes\"" in problem(compile="sometimes")
    assert "`compile` must be" in problem(compile=True)


def test_names_and_labels_by_default() -> None:
    suite = make()
    assert [task.name for task in suite.tasks] == ["iris-mlp", "images"]
    assert [(entry.name, entry.label) for entry in suite.strategies] == [
        ("random", "random"),
        ("coarse", "Coarse grid"),
    ]


def test_a_label_defaults_to_a_name_that_was_set() -> None:
    suite = make(strategies=[{"use": "random", "name": "mine"}])
    assert suite.strategies[0].label == "mine"


def test_nothing_can_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make().repetitions = 5  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        make().tasks[0].epochs = 5  # type: ignore[misc]


# ---- what the runner asks


def test_runs_are_in_the_order_of_the_suite() -> None:
    assert make().run_keys() == [
        RunKey("iris-mlp", "random", 0),
        RunKey("iris-mlp", "random", 1),
        RunKey("iris-mlp", "coarse", 0),
        RunKey("iris-mlp", "coarse", 1),
        RunKey("images", "random", 0),
        RunKey("images", "random", 1),
        RunKey("images", "coarse", 0),
        RunKey("images", "coarse", 1),
    ]


def test_tasks_and_strategies_are_found_by_name() -> None:
    suite = make()
    assert suite.task("images").dataset == "digits"
    assert suite.strategy("coarse").use == "grid"
    with pytest.raises(UsageError, match=r"unknown task 'image'\. Did you mean 'images'\?"):
        suite.task("image")
    with pytest.raises(UsageError, match=r"unknown strategy 'grid'\..* Known: coarse, random"):
        suite.strategy("grid")


def test_a_budget_in_trials_is_its_own_number() -> None:
    assert make().budget_trials("images") == 3


def test_a_budget_in_epochs_is_divided_by_the_fidelity() -> None:
    suite = make(budget={"epochs": 11})
    assert suite.budget_trials("images") == 2
    assert suite.budget_trials(suite.tasks[0]) == 2


def test_a_budget_in_seconds_says_nothing_about_trials() -> None:
    assert make(budget={"seconds": 5}).budget_trials("images") is None


def test_the_specification_of_a_task_holds_everything() -> None:
    suite = make(
        threads=2,
        training_seeds="per_trial",
        validation={"fraction": 0.3},
        test_fraction=0.1,
        trainer="cohort",
        clock="modelled",
        tasks=[{**TASK, "patience": 2, "space": {"layers": 2}}],
    )
    spec = suite.task_spec("iris-mlp", device="cuda:1")
    assert (spec.name, spec.dataset, spec.network, spec.epochs) == ("iris-mlp", "iris", "mlp", 4)
    assert (spec.root_seed, spec.training_seeds, spec.threads) == (7, "per_trial", 2)
    assert (spec.validation_fraction, spec.test_fraction, spec.patience) == (0.3, 0.1, 2)
    assert (spec.trainer, spec.clock, spec.device) == ("cohort", "modelled", "cuda:1")
    assert spec.space == space_of(suite.tasks[0])
    assert spec.space.constants["layers"] == 2
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 - our own bytes


def test_the_space_of_a_task_names_the_key() -> None:
    task = make().tasks[0].model_copy(update={"space": {"layers": 0}})
    with pytest.raises(UsageError, match=r"\(iris-mlp\.space\.layers\)"):
        space_of(task)
    with pytest.raises(UsageError, match=r"\(tasks\[3\]\.space\.layers\)"):
        space_of(task, where="tasks[3].space")


# ---- what cannot be


def test_every_problem_is_told() -> None:
    message = problem(
        tasks=[{**TASK, "network": "mpl", "dataset": "irs", "space": {"rate": 1}}],
        strategies=[{"use": "randm"}, {"use": "grid", "options": {"level": {}}}],
    )
    lines = message.splitlines()
    assert [line.rpartition("(")[2] for line in lines] == [
        "tasks[0].dataset).",
        "tasks[0].network).",
        "strategies[0].use).",
        "strategies[1].options.level).",
    ]


def test_every_illegal_hyperparameter_is_told() -> None:
    message = problem(tasks=[{**TASK, "space": {"rate": 1, "layers": 0, "momentum": 0.5}}])
    assert "(tasks[0].space.rate)" in message
    assert "(tasks[0].space.layers)" in message
    assert "momentum" in message.splitlines()[0], "the known names hold it"
    assert len(message.splitlines()) == 2


def test_too_many_runs() -> None:
    strategies = [{"use": "random", "name": f"random-{index}"} for index in range(60)]
    message = problem(repetitions=10_000, strategies=strategies)
    assert "must be at most 1000000 runs, got 1200000" in message


def test_names_made_of_nothing_legal_have_to_be_set() -> None:
    with pytest.raises(SuiteError, match=r"`name` must be 1 to 64 .*, got \"\" \(strategies\[0\]\.name\)"):
        make(strategies=[{"use": "***"}])


def test_both_entries_of_a_repeated_label_are_named() -> None:
    message = problem(strategies=[{"use": "random", "label": "A"}, {"use": "grid", "label": "A"}])
    assert message == (
        "the label 'A' belongs to strategies[0] already; set `label` in one of them (strategies[1].label)."
    )


def test_values_that_no_toml_has_are_refused() -> None:
    assert "got a NoneType (root_seed)" in problem(root_seed=None)


# ---- resolved, digest, replace


def test_resolved_is_json_and_holds_the_defaults() -> None:
    resolved = make().resolved()
    assert json.loads(json.dumps(resolved, allow_nan=False)) == resolved
    assert resolved["schema"] == 1
    assert resolved["budget"] == {"trials": 3}
    assert resolved["validation"] == {"kind": "holdout", "fraction": 0.2}
    assert resolved["tasks"][0]["name"] == "iris-mlp"
    assert resolved["strategies"][0]["label"] == "random"


def test_a_cross_validation_has_folds_and_no_fraction() -> None:
    suite = make(validation={"kind": "cv"})
    assert suite.resolved()["validation"] == {"kind": "cv", "folds": 5}
    assert suite.validation.trainings == 5
    assert suite.validation.share(0.2) == pytest.approx(0.16)
    spec = suite.task_spec("iris-mlp", device="cpu")
    assert (spec.folds, spec.trainings) == (5, 5)
    assert Suite.of(suite.resolved()) == suite
    assert make().validation.trainings == 1
    assert make().task_spec("iris-mlp", device="cpu").folds is None


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        ({"kind": "cv", "fraction": 0.2}, "must not set fraction where its kind is 'cv'"),
        ({"kind": "holdout", "folds": 5}, "must not set folds where its kind is 'holdout'"),
        ({"folds": 5}, "must not set folds where its kind is 'holdout'"),
        ({"kind": "cv", "folds": 1}, "`folds` must be at least 2, got 1"),
        ({"kind": "cv", "folds": 101}, "`folds` must be at most 100, got 101"),
        ({"kind": "cross"}, "`kind` must be 'holdout' or 'cv', got \"cross\""),
    ],
)
def test_a_validation_that_makes_no_sense_is_refused(validation: dict[str, Any], expected: str) -> None:
    assert expected in problem(validation=validation)


def test_a_budget_in_epochs_is_shared_by_the_folds() -> None:
    content = {"budget": {"epochs": 60}, "validation": {"kind": "cv", "folds": 3}}
    suite = make(**content, tasks=[{"dataset": "iris", "network": "mlp", "epochs": 10}])
    assert suite.budget_trials("iris-mlp") == 2
    message = problem(**content, tasks=[{"dataset": "iris", "network": "mlp", "epochs": 21}])
    assert "so that one trial can be trained, got 21 for each of 3 folds" in message


def test_the_digest_ignores_how_the_file_is_written() -> None:
    spelt_out = make(trainer="reference", threads=1, limits={"max_failures": 10})
    turned_round = Suite.of(dict(reversed(CONTENT.items())))
    assert make().digest() == spelt_out.digest() == turned_round.digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"root_seed": 8},
        {"repetitions": 3},
        {"budget": {"trials": 4}},
        {"budget": {"epochs": 12}},
        {"objective": "loss"},
        {"clock": "modelled"},
        {"compile": "never"},
        {"description": "x"},
        {"tasks": [TASK]},
        {"tasks": list(reversed(CONTENT["tasks"]))},
        {"strategies": [{"use": "random"}]},
    ],
)
def test_the_digest_notices_every_change(changes: dict[str, Any]) -> None:
    assert make(**changes).digest() != make().digest()


def test_the_digest_is_that_of_every_study() -> None:
    """A new key with a default changes it, so that older studies cannot be continued: not by accident."""
    assert make(tasks=[TASK]).digest() == "988f5e61824fb649e82c2e78cdd84ab7a491619c0529b9d749b3b09e7b2bdd46"


def test_replacing_changes_one_thing_and_checks_again() -> None:
    changed = make().replace(trainer="cohort", repetitions=5)
    assert (changed.trainer, changed.repetitions) == ("cohort", 5)
    assert changed.clock == "modelled"
    assert changed.replace(trainer="reference", repetitions=2) == make()
    assert make(clock="modelled").replace(trainer="cohort").clock == "modelled"
    assert make(trainer="cohort").replace(trainer="reference", clock="modelled").clock == "modelled"
    with pytest.raises(SuiteError, match=r"`trainer` must be 'reference' or 'cohort', got \"fast\""):
        make().replace(trainer="fast")
    with pytest.raises(SuiteError, match="unknown key 'trainr'"):
        make().replace(trainr="cohort")


def test_suites_need_no_heavy_library() -> None:
    code = (
        "import sys; from hpbench.suite import bundled_suites, parse_suite; "
        "parse_suite(bundled_suites()['standard'].read_text(encoding='utf-8')); "
        "print([name for name in ('torch', 'matplotlib', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- TOML → Suite → resolved → TOML → Suite

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,20}x", fullmatch=True)
LABELS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=80).filter(
    str.strip
)
SPACES = st.fixed_dictionaries(
    {},
    optional={
        "dropout": st.floats(0.0, 0.9),
        "layers": st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True),
        "learning_rate": st.tuples(st.floats(1e-6, 1e-3), st.floats(1e-2, 1.0), st.booleans()).map(
            lambda ends: {"low": ends[0], "high": ends[1], "log": ends[2]}
        ),
        "optimizer": st.sampled_from(["sgd", ["adam", "sgd"]]),
        "nesterov": st.booleans(),
    },
)
TASKS = st.fixed_dictionaries(
    {
        "dataset": st.sampled_from(["iris", "wine", "moons"]),
        "network": st.just("mlp"),
        "epochs": st.integers(1, 50),
        "space": SPACES,
    },
    optional={"name": NAMES, "patience": st.integers(1, 9)},
)
OPTIONS = st.one_of(st.just({}), st.fixed_dictionaries({"points": st.integers(1, 99)}))
STRATEGIES = st.fixed_dictionaries(
    {"use": st.just("grid"), "name": NAMES, "label": LABELS, "options": OPTIONS},
)
SUITES = st.fixed_dictionaries(
    {
        "name": NAMES,
        "root_seed": st.integers(0, 2**63 - 1),
        "repetitions": st.integers(1, 99),
        "budget": st.one_of(
            st.fixed_dictionaries({"trials": st.integers(1, 10**6)}),
            st.fixed_dictionaries({"epochs": st.integers(50, 10**6)}),
            st.fixed_dictionaries({"seconds": st.floats(1e-3, 1e6)}),
        ),
        "tasks": st.lists(
            TASKS, min_size=1, max_size=3, unique_by=lambda task: task.get("name", task["dataset"])
        ),
        "strategies": st.lists(
            STRATEGIES,
            min_size=1,
            max_size=3,
            unique_by=(lambda item: item["name"], lambda item: item["label"]),
        ),
    },
    optional={
        "schema": st.just(1),
        "description": st.text(st.characters(exclude_categories=("Cs",)), max_size=200),
        "trainer": st.sampled_from(["reference", "cohort"]),
        "clock": st.just("modelled"),
        "compile": st.sampled_from(["auto", "never", "always"]),
        "objective": st.sampled_from(["error", "loss"]),
        "threads": st.integers(1, 64),
        "test_fraction": st.floats(0.01, 0.5),
        "limits": st.fixed_dictionaries({}, optional={"trial_seconds": st.integers(1, 99)}),
    },
)


def toml(value: Any) -> str:
    """Return a TOML value; JSON's texts, numbers and lists are TOML's, but for DEL and table syntax."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def document(content: dict[str, Any]) -> str:
    """Return a TOML document with one line for each top-level key."""
    return "".join(f"{key} = {toml(value)}\n" for key, value in content.items())


@settings(max_examples=80, deadline=None)
@given(SUITES)
def test_a_suite_survives_being_written_and_read(content: dict[str, Any]) -> None:
    suite = Suite.of(content)
    resolved = suite.resolved()
    assert Suite.of(resolved) == suite
    assert Suite.of(resolved).digest() == suite.digest()
    assert Suite.of(json.loads(json.dumps(resolved))) == suite
    assert Suite.of(resolved).resolved() == resolved


@settings(max_examples=40, deadline=None)
@given(SUITES)
def test_a_suite_survives_being_written_as_toml(content: dict[str, Any]) -> None:
    text = document(content)
    assert tomllib.loads(text) == content
    suite = parse_suite(text)
    assert parse_suite(document(suite.resolved())) == suite


# ---- final


def test_final_is_off_and_changes_no_digest_until_it_is_asked_for() -> None:
    assert "final" not in make().resolved()
    asked = make(final={"retrain": 5})
    assert asked.resolved()["final"] == {"retrain": 5}
    assert asked.digest() != make().digest()
    assert Suite.of(asked.resolved()) == asked


@pytest.mark.parametrize(
    ("final", "expected"),
    [
        ({"retrain": 0}, "`retrain` must be at least 1, got 0"),
        ({"retrain": "five"}, '`retrain` must be a whole number, got "five"'),
        ({}, "the key `retrain` is missing"),
        ({"retrian": 5}, "Did you mean 'retrain'?"),
    ],
)
def test_a_final_that_makes_no_sense_is_refused(final: dict[str, Any], expected: str) -> None:
    assert expected in problem(final=final)
