"""Statistics as functions of arrays: losses in (lower is better), numbers out; no frames, no files.

The unit of replication is the repetition for a claim about one task and the task for a claim across
tasks; the two are never pooled into one set of independent blocks.
"""

from __future__ import annotations

from hpbench.analysis.statistics.anytime import (
    area_under_curve,
    best_of_n,
    ecdf,
    expected_running_time,
    first_hits,
    incumbent_index,
    incumbent_of,
    normalised_regret,
    overtuning,
    relative_overtuning,
    runlength_targets,
    selection_gap,
    speed_up,
)
from hpbench.analysis.statistics.intervals import (
    Array,
    Interval,
    mean_interval,
    paired_bootstrap,
    quantile_worst,
    t_interval,
    welch_interval,
)
from hpbench.analysis.statistics.pairwise import (
    Pairing,
    holm,
    pairing_gain,
    probability_of_improvement,
    probability_of_improvement_unpaired,
    rank_biserial,
    rank_sum,
    sign_flip_test,
    wilcoxon,
    win_tie_loss,
)
from hpbench.analysis.statistics.posterior import Posterior, bayesian_signed_rank
from hpbench.analysis.statistics.profiles import (
    StratifiedMean,
    iqm,
    optimality_gap,
    performance_profile,
    stratified_mean,
)
from hpbench.analysis.statistics.ranks import (
    Friedman,
    cliques,
    critical_difference,
    friedman,
    friedman_permutation,
    mean_ranks,
    rank_losses,
    wilcoxon_holm,
)
from hpbench.analysis.statistics.sizes import (
    attainable,
    repetitions_for_difference,
    repetitions_for_probability,
    smallest_n,
    smallest_p,
)
from hpbench.analysis.statistics.ties import same_best

__all__ = [
    "Array",
    "Friedman",
    "Interval",
    "Pairing",
    "Posterior",
    "StratifiedMean",
    "area_under_curve",
    "attainable",
    "bayesian_signed_rank",
    "best_of_n",
    "cliques",
    "critical_difference",
    "ecdf",
    "expected_running_time",
    "first_hits",
    "friedman",
    "friedman_permutation",
    "holm",
    "incumbent_index",
    "incumbent_of",
    "iqm",
    "mean_interval",
    "mean_ranks",
    "normalised_regret",
    "optimality_gap",
    "overtuning",
    "paired_bootstrap",
    "pairing_gain",
    "performance_profile",
    "probability_of_improvement",
    "probability_of_improvement_unpaired",
    "quantile_worst",
    "rank_biserial",
    "rank_losses",
    "rank_sum",
    "relative_overtuning",
    "repetitions_for_difference",
    "repetitions_for_probability",
    "runlength_targets",
    "same_best",
    "selection_gap",
    "sign_flip_test",
    "smallest_n",
    "smallest_p",
    "speed_up",
    "stratified_mean",
    "t_interval",
    "welch_interval",
    "wilcoxon",
    "wilcoxon_holm",
    "win_tie_loss",
]
