from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from hpbench.cli.display import LiveDisplay, PlainDisplay, failure_line
from hpbench.plan import Plan, Refusal
from hpbench.store import Store
from hpbench.study import RunRow, RunState, StudyInfo
from hpbench.trial import Evaluation, Record, RunKey, Status

RUNS = [RunKey("digits", "random", 0), RunKey("digits", "grid", 0)]
HOSTILE = "\x1b[2J\x1b[31mowned\r"


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plan_of(trials: int | None = 40, *, runs: list[RunKey] | None = None) -> Plan:
    chosen = RUNS if runs is None else runs
    tasks = {run.task for run in chosen}
    return Plan(tuple(chosen), (), dict.fromkeys(tasks, trials), dict.fromkeys(tasks, 3))


def record(run: RunKey, number: int, *, correct: int | None = 9) -> Record:
    status = Status.ERROR if correct is None else Status.OK
    evaluation = Evaluation(status, val_correct=correct, val_total=10, train_seconds=1.0)
    return Record(run, number, None, {"x": 1}, evaluation, ask_seconds=0.0, tell_seconds=0.0)


def plain_output(capsys: pytest.CaptureFixture[str], plan: Plan, trials: int) -> list[str]:
    clock = Clock()
    display = PlainDisplay(Path("unused"), clock=clock)
    display.started(plan, {})
    for number in range(trials):
        clock.now += 1.0
        display.finished(record(plan.runs[number % len(plan.runs)], number // len(plan.runs)))
    display.stopped()
    return capsys.readouterr().out.splitlines()


def test_plain_lines_are_limited_by_the_number_of_trials(capsys: pytest.CaptureFixture[str]) -> None:
    lines = plain_output(capsys, plan_of(40), 80)
    assert lines[0] == "2 runs, 80 trials"
    assert len(lines) == 21
    assert (
        lines[1]
        == " 4/80 trials | digits/grid: best validation accuracy 0.9000 | failures 0 | about 1 min 16 s left"
    )
    assert lines[-1] == "80/80 trials | digits/grid: best validation accuracy 0.9000 | failures 0"


def test_plain_lines_of_a_small_study_are_one_a_trial(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(plain_output(capsys, plan_of(2), 4)) == 5


def test_plain_lines_without_a_known_total(capsys: pytest.CaptureFixture[str]) -> None:
    lines = plain_output(capsys, plan_of(None), 60)
    assert lines[0] == "2 runs, trials until the seconds are spent"
    assert [line.partition(" ")[0] for line in lines[1:]] == ["25/?", "50/?"]


def test_plain_lines_say_what_is_skipped_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(
        tuple(RUNS), (Refusal("wine", "skopt-gp", "it lacks CONDITIONAL."),), {"digits": 9}, {"digits": 1}
    )
    display = PlainDisplay(Path("unused"))
    display.started(plan, {})
    display.run_ended(RUNS[0], RunState.FAILED, "boom\nin line 3")
    display.run_ended(RUNS[1], RunState.COMPLETE, "")
    display.note("a worker died")
    assert capsys.readouterr().out.splitlines() == [
        "it lacks CONDITIONAL. Skipped.",
        "2 runs, 18 trials",
        "run digits/random/0 failed: boom",
        "a worker died",
    ]


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A results directory with one finished and one exhausted run."""
    with Store.create(tmp_path, StudyInfo({}, "", "", "cpu")) as store:
        store.add_runs([RunRow(run, RunState.RUNNING) for run in RUNS])
        store.add([record(RUNS[0], 0, correct=8), record(RUNS[1], 0, correct=None)])
        store.set_run_state(RUNS[1], RunState.EXHAUSTED)
    return tmp_path


def test_a_continued_study_shows_what_was_finished_earlier(
    earlier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    display = PlainDisplay(earlier, clock=Clock())
    display.started(plan_of(4), dict.fromkeys(RUNS, 1))
    for number in range(1, 4):
        display.finished(record(RUNS[0], number, correct=5))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 runs, 5 trials, 2 of them finished earlier"
    assert lines[-1] == "5/5 trials | digits/random: best validation accuracy 0.8000 | failures 1"


def test_the_first_line_of_a_failure_is_enough() -> None:
    assert failure_line(RUNS[0], "") == "run digits/random/0 failed: no reason was given"
    assert "\x1b" not in failure_line(RUNS[0], HOSTILE)


def live(plan: Plan, *, width: int = 100, height: int = 30) -> tuple[LiveDisplay, Clock, io.StringIO]:
    stream, clock = io.StringIO(), Clock()
    console = Console(
        file=stream,
        width=width,
        height=height,
        force_terminal=True,
        color_system=None,
        markup=False,
        highlight=False,
    )
    display = LiveDisplay(Path("unused"), console=console, clock=clock)
    display.started(plan, {})
    return display, clock, stream


def rendered(display: LiveDisplay, *, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(display.render())
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_live_table_has_a_line_for_each_task_and_strategy() -> None:
    display, clock, _ = live(plan_of(4))
    clock.now += 10.0
    display.finished(record(RUNS[0], 0))
    clock.now += 1.0
    display.finished(record(RUNS[0], 1, correct=None))
    display.run_ended(RUNS[1], RunState.FAILED, "boom")
    display.stopped()
    above, header, first, second, summary = rendered(display)
    assert above.split() == ["Best", "val."]
    assert header.split() == ["Task", "Strategy", "Trials", "accuracy", "Failures", "Left"]
    assert first.split()[0:2] == ["digits", "random"]
    assert first.split()[-5:] == ["2/4", "0.9000", "1", "2", "s"]
    assert second.split()[-3:] == ["0/0", "0", "failed"]
    assert summary == "2/4 trials | 11 s gone | about 2 s left"


def test_a_cell_whose_runs_are_over_is_done() -> None:
    display, _, _ = live(plan_of(1))
    display.finished(record(RUNS[0], 0))
    display.run_ended(RUNS[0], RunState.COMPLETE, "")
    display.stopped()
    assert rendered(display)[2].split()[-1] == "done"


def test_a_low_terminal_shows_what_is_in_progress() -> None:
    runs = [RunKey(f"task-{number}", "random", 0) for number in range(9)]
    display, _, _ = live(plan_of(2, runs=runs), height=10)
    display.finished(record(runs[0], 0))
    display.finished(record(runs[0], 1))
    display.run_ended(runs[0], RunState.COMPLETE, "")
    display.finished(record(runs[7], 0))
    display.stopped()
    lines = rendered(display)
    assert [line.split()[0] for line in lines[2:5]] == ["task-1", "task-2", "task-7"]
    assert lines[5] == "… and 6 more"


def test_a_narrow_terminal_cuts_names_and_no_numbers() -> None:
    run = RunKey("breast-cancer-mlp", "skopt-random-forest", 0)
    bars = {}
    for width in (60, 80, 100):
        display, clock, _ = live(plan_of(4, runs=[run]), width=width)
        clock.now += 40.0
        display.finished(record(run, 0))
        display.stopped()
        header, line = rendered(display, width=width)[1:3]
        assert header.split() == ["Task", "Strategy", "Trials", "accuracy", "Failures", "Left"]
        assert line.split()[-5:] == ["1/4", "0.9000", "0", "3", "s"]
        assert ("…" in line) is (width == 60)
        bars[width] = "━" in line
    assert bars == {60: False, 80: False, 100: True}


@pytest.mark.parametrize("width", [20, 40, 200])
def test_any_width_will_do(width: int) -> None:
    display, _, _ = live(plan_of(None), width=width)
    display.finished(record(RUNS[0], 0))
    display.stopped()
    assert all(len(line) <= width for line in rendered(display, width=width))


def test_hostile_names_and_notes_cannot_steer_the_terminal() -> None:
    run = RunKey(HOSTILE, f"[red]{HOSTILE}[/red]", 0)
    display, _, stream = live(plan_of(2, runs=[run]))
    display.finished(record(run, 0))
    display.note(f"note {HOSTILE} [bold]")
    display.run_ended(run, RunState.FAILED, HOSTILE)
    display.stopped()
    assert "\x1b[2J" not in stream.getvalue()
    assert "\x1b[31m" not in stream.getvalue()
    assert "[bold]" in stream.getvalue()
    assert "[red]" in "\n".join(rendered(display))
