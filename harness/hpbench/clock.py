"""The modelled clock: what a trial costs follows from its configuration and what training made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hpbench.errors import UsageError
from hpbench.tasks import networks
from hpbench.tasks.base import TaskSpec
from hpbench.tasks.training.costs import StepCost, signature_of
from hpbench.tasks.training.recipe import Recipe
from hpbench.trial import Config, Evaluation, Status

__all__ = ["ModelledClock"]


class ModelledClock:
    """Charges trials of one task what the reference trainer would take for them, alone on the machine.

    A trial costs its steps times the seconds of a step, its epochs times the seconds of scoring the
    validation part, and the seconds of scoring the test part: once at the end, or with early stopping
    after every epoch that was the best so far (the first epoch that a continued trial adds counts as
    one). A diverged or early-stopped trial costs the epochs that it trained. A cross-validated trial
    costs all that once for each fold, a fold that stopped earlier as much as the longest. So a configuration with
    the same outcome always costs the same, whatever trained beside it.

    Args:
        spec: the task.
        n_train: training examples of one network.
        costs: signature → what it costs.
    """

    def __init__(self, spec: TaskSpec, *, n_train: int, costs: Mapping[str, StepCost]) -> None:
        self._spec = spec
        self._n_train = n_train
        self._costs = costs

    def charged(self, config: Config, evaluation: Evaluation) -> Evaluation:
        """Return ``evaluation`` with modelled seconds.

        Trials that ended otherwise than by training (an error, no memory) keep what they took.

        Raises:
            UsageError: the signature of ``config`` was not calibrated.
        """
        if evaluation.status not in {Status.OK, Status.DIVERGED}:
            return evaluation
        trainings = self._spec.trainings
        epochs = (evaluation.epochs - evaluation.epochs_from) * trainings
        cost = self.cost_of(config)
        batch = Recipe.of(self._spec.space.complete(config), self._n_train).batch_size
        steps = epochs * (self._n_train // batch)
        tests = self._tests(evaluation) * trainings
        return replace(
            evaluation,
            train_seconds=steps * cost.step_seconds,
            evaluate_seconds=epochs * cost.val_seconds + tests * cost.test_seconds,
        )

    def cost_of(self, config: Config) -> StepCost:
        """Return what was measured for the signature of ``config``.

        Raises:
            UsageError: nothing was.
        """
        family = networks.REGISTRY.get(self._spec.network)
        signature = signature_of(family, self._spec.space, config, self._n_train)
        if signature not in self._costs:
            raise UsageError(
                f"the modelled clock of task {self._spec.name!r} has no calibration for {signature}; the space that "
                "was calibrated does not hold it. Start a new study with --results DIR."
            )
        return self._costs[signature]

    def _tests(self, evaluation: Evaluation) -> int:
        """Return how often the test part was scored."""
        scored = evaluation.curve[:-1] if evaluation.status is Status.DIVERGED else evaluation.curve
        if self._spec.patience is None:
            return int(evaluation.status is Status.OK)
        best, count = float("inf"), 0
        for error in scored:
            if error < best:
                best, count = error, count + 1
        return count
