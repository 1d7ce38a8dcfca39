"""What the study shows, in plain words, and what it does not show."""

from __future__ import annotations

import math

from hpbench.analysis.across import across_tasks
from hpbench.analysis.captions import basis, by_points, equals, machines_text, p_text, percent
from hpbench.analysis.clocks import clock_text, steps_text
from hpbench.analysis.comparison import Cell, Study, TaskComparison
from hpbench.analysis.critical import ranking_of
from hpbench.analysis.evidence import pairing_claim
from hpbench.analysis.statistics import smallest_n
from hpbench.analysis.versus import Versus
from hpbench.analysis.writers import escape_markdown
from hpbench.wording import counted

__all__ = ["across_claim", "claims", "summary"]


def summary(study: Study) -> str:
    """Return the head of ``summary.md``: the study, whether it is partial, and the claims."""
    frames = study.frames
    title = escape_markdown(str(frames.info.suite["name"]))
    partial = f"**{frames.partial}**: what follows may change.\n\n" if frames.partial else ""
    listed = "\n".join(f"- {escape_markdown(claim)}" for claim in claims(study))
    about = [basis(frames), clock_text(frames), steps_text(frames)]
    told = "\n\n".join(escape_markdown(text) for text in about if text)
    return f"# {title}\n\n{partial}{told}\n\n## What this study shows\n\n{listed}\n\n## Tables\n"


def claims(study: Study) -> list[str]:
    """Return the claims: unlike machines, the best of each task, strategies against the baseline, what selection cost."""
    frames = study.frames
    if frames.trials.empty:
        return ["No trial has finished yet."]
    found = [machines_text(frames)]
    found += [_best(study, comparison) for comparison in study.comparisons.values()]
    if frames.baseline is None:
        found.append("One strategy alone: there is nothing to compare it with.")
    else:
        found += [_against(study, name) for name in frames.strategies if name != frames.baseline]
        found += [across_claim(study), *_guard(study), pairing_claim(study)]
    found += [_failures(study), *_selection(study)]
    return [claim for claim in found if claim]


def _best(study: Study, comparison: TaskComparison) -> str:
    """Return which strategy ends highest on one task, and who is not shown to differ from it."""
    label = study.frames.label
    best = [cell for cell in comparison.cells if cell.best]
    if not study.frames.counted(comparison.task):
        return f"{comparison.task} has values and no accuracy; table 'Final values' compares them."
    if not any(cell.counts.n for cell in comparison.cells):
        yet = " yet" if any(cell.counts.missing for cell in comparison.cells) else ""
        return f"{comparison.task}: no run has a result{yet}."
    if not best:
        return f"{comparison.task}: runs of every strategy failed, so none is named best."
    names = " and ".join(label(cell.strategy) for cell in best)
    text = f"{comparison.task}: highest mean test {study.frames.measure(comparison.task)} {percent(best[0].test.centre)} % by {names} (n = {best[0].counts.n})"
    alike = [label(cell.strategy) for cell in comparison.cells if cell.like_best]
    if alike:
        text += f"; no difference from it can be shown at this budget for {', '.join(alike)}"
    return f"{text}.{_survivors(study, comparison, best[0])}"


def _survivors(study: Study, comparison: TaskComparison, best: Cell) -> str:
    """Return who has a higher mean than the best, but in some of the runs alone, for the others failed."""
    higher = [
        f"{study.frames.label(cell.strategy)} ({percent(cell.test.centre)} % in {cell.counts.n} of "
        f"{cell.counts.n + cell.counts.failed} runs)"
        for cell in comparison.cells
        if cell.counts.failed and cell.test.centre < best.test.centre
    ]
    return f" Higher, but only where runs did not fail: {', '.join(higher)}." if higher else ""


def _against(study: Study, strategy: str) -> str:
    """Return on which tasks ``strategy`` is better or worse than the baseline, and where nothing is shown."""
    frames = study.frames
    assert frames.baseline is not None  # noqa: S101 -- the caller saw to it
    cells = [
        cell for found in study.comparisons.values() for cell in found.cells if cell.strategy == strategy
    ]
    name, base = frames.label(strategy), frames.label(frames.baseline)
    sentences = []
    for verdict, verb in (("better", "beats"), ("worse", "is worse than")):
        chosen = [(cell, cell.versus) for cell in cells if cell.versus and cell.versus.verdict == verdict]
        if chosen:
            listed = "; ".join(_evidence(cell, versus) for cell, versus in chosen)
            sentences.append(
                f"{name} {verb} {base} on {len(chosen)} of {counted(len(cells), 'task')}: {listed}."
            )
    quiet = [cell for cell in cells if cell.versus and cell.versus.verdict == "not shown"]
    if quiet:
        listed = ", ".join(cell.task for cell in quiet)
        sentences.append(f"{name} against {base} on {listed}: no difference can be shown at this budget.")
    skipped = [cell for cell in cells if cell.counts.skipped]
    if skipped:
        sentences.append(
            f"{name} was skipped on {', '.join(cell.task for cell in skipped)}: {skipped[0].counts.skipped}"
        )
    return " ".join(sentences)


def _evidence(cell: Cell, versus: Versus) -> str:
    """Return a task with the difference, its p-value, the paired probability, n and how many runs failed."""
    counts = cell.counts
    failed = f", {counts.failed} of {counts.n + counts.failed} runs failed" if counts.failed else ""
    return (
        f"{cell.task}{by_points(versus.difference, versus.effect)} (Holm p "
        f"{equals(p_text(versus.p, enough=True))}, paired P = {versus.improvement:.2f}, n = {versus.n}{failed})"
    )


def _failures(study: Study) -> str:
    """Return which strategies had runs that failed, and how these count; nothing if none did."""
    failed = [
        f"{study.frames.label(cell.strategy)} on {cell.task} ({cell.counts.failed} of {cell.counts.n + cell.counts.failed})"
        for comparison in study.comparisons.values()
        for cell in comparison.cells
        if cell.counts.failed
    ]
    if not failed:
        return ""
    return (
        "A failed run counts as worse than every result in tests, ranks and probabilities, and is left out of means; "
        f"failed runs: {', '.join(failed)}."
    )


def across_claim(study: Study) -> str:
    """Return what the ranks over the tasks show; nothing if strategies cannot be compared over tasks."""
    found = across_tasks(study)
    if not found.possible:
        return ""
    critical = ranking_of(study, found)
    if math.isnan(critical.p):
        return critical.reason
    text = f"Over {counted(critical.n_tasks, 'task')} {{}} ({critical.omnibus})."
    if critical.n_tasks < critical.needed:
        text += (
            " So few tasks show only differences that hold on nearly all of them, and speak for no others."
        )
    if critical.reason:
        text += f" {critical.reason}"
    if not critical.passed:
        return text.format("no difference in rank can be shown")
    first = study.frames.label(study.frames.strategies[found.strategies[int(critical.ranks.argmin())]])
    return text.format(
        f"the strategies rank differently; the best mean rank, {critical.ranks.min():.2f}, has {first}"
    )


def _guard(study: Study) -> list[str]:
    """Return the warning that so few repetitions cannot be significant, if it applies."""
    verdicts = [cell.versus for found in study.comparisons.values() for cell in found.cells if cell.versus]
    few = [versus for versus in verdicts if not versus.enough]
    if not few:
        return []
    needed = smallest_n(len(study.frames.strategies) - 1)
    text = (
        f"In {len(few)} of {counted(len(verdicts), 'comparison')} no difference is claimed, for there are too few "
        f"repetitions to reach p < 0.05: an exact paired test of {counted(len(study.frames.strategies), 'strategy', 'strategies')} "
        f"needs {needed} of each."
    )
    return [text]


def _selection(study: Study) -> list[str]:
    """Return what choosing by validation cost on average."""
    gaps = [cell.selection.gap.centre for found in study.comparisons.values() for cell in found.cells]
    known = [gap for gap in gaps if math.isfinite(gap)]
    if not known:
        return []
    text = (
        f"Choosing by validation cost {100 * sum(known) / len(known):.2f} points of test {study.frames.measure()} on "
        "average over all strategies and tasks, against the best test score that the same trials reached."
    )
    return [text]
