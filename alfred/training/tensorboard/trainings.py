"""What came of one training, and of all seeds of a fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from alfred.agents.kept import Kept
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_sharpe
from alfred.evaluation.report.images import draw_wealth, draw_weights
from alfred.learning.events import EventFile, read_scalars
from alfred.training.cross_fitting.held_out import HeldOut
from alfred.training.tensorboard.layout import BEYOND_START, RESULT, SEEDS, SHARPE, UTILITY

_POOLED = {BEYOND_START, UTILITY, SHARPE}


def write_training(
    folder: Path,
    pooled: HeldOut,
    kept: Kept,
    scores: Mapping[str, float],
    record: Backtest,
    references: Sequence[Backtest],
    n_steps: int,
    explanation: str,
    blocks: Sequence[Path],
) -> None:
    """Write what came of a training, in place of an earlier one.

    | tag | holds |
    | --- | --- |
    | `1_validation/...` | utility and Sharpe ratio over all held-out blocks, by training step |
    | `1_validation/...`, `2_train/...` | means over the blocks, at steps that all reached |
    | `5_distributions/...` | histograms of the training on the last block |
    | `4_result/...` | the step that was chosen (0 is the untrained start), and what it scored |
    | pictures | the chosen policy on the validation range of the fold: wealth, drawdown, turnover; weights |
    | text | which step was chosen, and why |

    Args:
        folder: Of the training.
        pooled: What its checkpoints earned on all held-out blocks.
        kept: What was chosen.
        scores: Sharpe ratios by name.
        record: The chosen policy on the validation range.
        references: The benchmark held and equal weights there.
        n_steps: Steps of the whole training.
        explanation: Says what was kept and why.
        blocks: Folders of the trainings on held-out blocks.
    """
    periods = record.periods_per_year
    with EventFile(folder, "result") as events:
        for tag, points in _average([read_scalars(block) for block in blocks]).items():
            for step, value in points.items():
                events.add_scalars({tag: value}, step)
        events.copy_histograms(blocks[-1])
        for step, net, utility in zip(pooled.steps, pooled.net, pooled.utility, strict=True):
            scalars = {
                BEYOND_START: utility - pooled.utility[0],
                UTILITY: utility,
                SHARPE: compute_sharpe(net, periods),
            }
            events.add_scalars(scalars, step)
        results = {
            "chosen_step": float(kept.step),
            "gain_pct_a_year": kept.gain,
            "gain_error_pct_a_year": kept.gain_error,
            "p_value": kept.p_value,
            "turnover_a_year": float(record.turnover.mean() * periods),
            **scores,
        }
        events.add_scalars({f"{RESULT}/{name}": value for name, value in results.items()})
        caption = _write_caption(kept, n_steps, record)
        events.add_text("training", f"**{caption}**\n\n{record.name} {explanation}.")
        add_pictures(events, record, references, caption)


def add_pictures(events: EventFile, record: Backtest, references: Sequence[Backtest], caption: str) -> None:
    """Draw what a policy did beside the references: wealth, drawdown and turnover, and its weights."""
    events.add_picture("1_wealth", draw_wealth([record, *references], caption))
    events.add_picture("2_weights", draw_weights(record, title=caption))


def _average(blocks: Sequence[Mapping[str, Mapping[int, float]]]) -> dict[str, dict[int, float]]:
    """Return the means of several trainings by tag and step, without what is computed over all their sessions."""
    found = {}
    for tag in blocks[0]:
        if tag not in _POOLED and all(tag in block for block in blocks):
            steps = sorted(set.intersection(*(set(block[tag]) for block in blocks)))
            found[tag] = {step: float(np.mean([block[tag][step] for block in blocks])) for step in steps}
    return found


def write_seeds(folder: Path, trainings: Sequence[HeldOut]) -> None:
    """Write mean, lowest and highest of the seeds of a fold, at the steps that all of them validated at.

    Args:
        folder: Of the fold.
        trainings: What the checkpoints of each seed earned on all held-out blocks.
    """
    with EventFile(folder, "seeds") as events:
        for row in range(min((len(item.steps) for item in trainings), default=0)):
            values = np.array([item.utility[row] - item.utility[0] for item in trainings])
            ends = {"mean": values.mean(), "low": values.min(), "high": values.max()}
            scalars = {f"{SEEDS}_{end}": float(value) for end, value in ends.items()}
            events.add_scalars(scalars, trainings[0].steps[row])


def clear_seeds(folder: Path) -> None:
    """Delete what `write_seeds` wrote: a seed of the fold is trained again."""
    EventFile(folder, "seeds").clear()


def _write_caption(kept: Kept, n_steps: int, record: Backtest) -> str:
    chosen = "kept the start: did not learn" if kept.untrained else f"step {kept.step:,} of {n_steps:,} was chosen"
    return f"{chosen}; validation, {record.dates[0].date()} to {record.dates[-1].date()}"
