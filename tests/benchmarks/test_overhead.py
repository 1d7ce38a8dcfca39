"""What the harness itself costs: a worker's wall time less asking, training, evaluating and telling."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from types import ModuleType

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from hpbench.canonical import to_line
from hpbench.jobs import Finished, Message
from hpbench.lockstep import run_shard
from hpbench.store import Store
from hpbench.study import StudyInfo

TRIALS = 200
CALIBRATIONS = 5_000
"""About as many as the suite ``standard`` has."""
LIMIT_SECONDS = 5e-3


@pytest.mark.parametrize("strategy", ["fake-adaptive", "fake-ahead"])
def test_a_trial_costs_at_most_five_milliseconds_of_a_worker(
    fake: ModuleType, benchmark: BenchmarkFixture, strategy: str
) -> None:
    shard = fake.shard_of(fake.suite_of(strategy, budget={"trials": TRIALS}, repetitions=1))
    overheads: list[float] = []

    def once() -> None:
        task, spent = fake.FakeTask(shard.spec), [0.0]
        evaluate = task.evaluate

        def timed(requests: list) -> list:
            begin = perf_counter()
            answers = evaluate(requests)
            spent[0] += perf_counter() - begin
            return answers

        task.evaluate = timed
        messages: list[Message] = []
        begin = perf_counter()
        run_shard(shard, task, messages.append, lambda: False)
        wall = perf_counter() - begin
        records = [
            record for message in messages if isinstance(message, Finished) for record in message.records
        ]
        thinking = sum(record.ask_seconds + record.tell_seconds for record in records)
        overheads.append((wall - spent[0] - thinking) / len(records))

    benchmark.pedantic(once, rounds=10, warmup_rounds=1)
    benchmark.extra_info["overhead_seconds_per_trial"] = min(overheads)
    assert min(overheads) <= LIMIT_SECONDS


def test_storing_a_trial_alone_in_its_transaction(
    fake: ModuleType, benchmark: BenchmarkFixture, tmp_path: Path
) -> None:
    fake.run(tmp_path / "made", fake.suite_of("fake-ahead", budget={"trials": TRIALS}, repetitions=1))
    with Store.open(tmp_path / "made", read_only=True) as made:
        records = list(made.records())
    assert to_line(records[0])["number"] == 0
    info = StudyInfo(suite={}, suite_text="", suite_digest="", device="cpu")
    with Store.create(tmp_path / "new", info) as store:
        remaining = iter(records)
        benchmark.pedantic(lambda: store.add([next(remaining)]), rounds=len(records))


def test_storing_a_calibration_beside_thousands(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    info = StudyInfo(suite={}, suite_text="", suite_digest="", device="cpu")
    with Store.create(tmp_path, info) as store, store.transaction():
        for number in range(CALIBRATIONS):
            store.put_calibration(f"before {number}", {"step": 0.1})
        numbers = iter(range(TRIALS))
        benchmark.pedantic(
            lambda: store.put_calibration(f"now {next(numbers)}", {"step": 0.1}), rounds=TRIALS
        )
