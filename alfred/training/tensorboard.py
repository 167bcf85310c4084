"""TensorBoard curves and pictures that a portfolio person wants to see."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from alfred.agents.settings import AgentSettings
from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_max_drawdown, compute_portfolio_metrics
from alfred.evaluation.report.images import draw_wealth, draw_weights


def compute_utility(record: Backtest, risk_aversion: float) -> float:
    """Return the mean of `log(1 + r) - a/2 r^2` over net returns r, in per cent a year of the record's own sessions.

    Checkpoints compete in it: it is the reward's own currency, and less noisy than a Sharpe ratio of one year.
    """
    net = np.maximum(record.net, -0.999)
    return float(100.0 * record.periods_per_year * np.mean(np.log1p(net) - 0.5 * risk_aversion * net**2))


class ValidationCurves:
    """Writes what a policy does on its validation range.

    | tag | holds |
    | --- | --- |
    | `validation/...` | scalars of each validation, by training step |
    | `validation/wealth_picture`, `validation/weights_picture` | pictures of each new best |
    | `chosen/...` | the chosen policy by session: wealth beside the benchmark and equal weights, turnover, costs |
    | `signals/...` | mean daily rank correlation of each signal with what it foretells, on the same range |
    | the hparams tab | settings with the final metrics |

    Args:
        folder: Folder of the event file.
        references: The benchmark held and equal weights on the validation range.
    """

    def __init__(self, folder: Path, references: Sequence[Backtest]) -> None:
        """Open the event file."""
        self._writer = SummaryWriter(str(folder))
        self._references = references
        self._best = -np.inf

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the event file."""
        self._writer.close()

    def write_skill(self, skill: Mapping[str, float]) -> None:
        """Write the skill of each signal by its name."""
        for name, value in skill.items():
            if np.isfinite(value):
                self._writer.add_scalar(f"signals/{name}", value, 0)

    def write(self, record: Backtest, steps: int, utility: float) -> None:
        """Write one validation, with pictures when it is the best so far.

        Args:
            record: Backtest on the validation range.
            steps: Training steps so far.
            utility: What checkpoints compete in.
        """
        metrics = compute_portfolio_metrics(record)
        scalars = {
            "utility_pct_a_year": utility,
            "sharpe": metrics.sharpe,
            "wealth": float(record.wealth[-1]),
            "max_drawdown": metrics.max_drawdown,
            "turnover_a_year": metrics.turnover,
            "cost_bps_a_year": 1e4 * metrics.cost,
            "concentration": metrics.concentration,
            "effective_names": metrics.effective_names,
            "cash": metrics.cash,
            "information_ratio": metrics.information_ratio,
        }
        for reference in self._references:
            final, name = float(reference.wealth[-1]), _make_tag(reference)
            scalars |= {
                f"wealth_{name}": final,
                f"wealth_over_{name}": float(record.wealth[-1]) / final,
                f"max_drawdown_{name}": compute_max_drawdown(reference.net),
            }
        for name, value in scalars.items():
            if np.isfinite(value):
                self._writer.add_scalar(f"validation/{name}", value, steps)
        if utility > self._best:
            self._best = utility
            self._writer.add_figure("validation/wealth_picture", draw_wealth([record, *self._references]), steps)
            self._writer.add_figure("validation/weights_picture", draw_weights(record), steps)
        self._writer.flush()

    def write_chosen(self, record: Backtest, settings: AgentSettings, scores: Mapping[str, float]) -> None:
        """Write the chosen policy session by session, and the settings beside its scores.

        Args:
            record: Its backtest on the validation range.
            settings: Of the agent.
            scores: Final metrics by name.
        """
        curves = {f"wealth_{_make_tag(item)}": item.wealth for item in self._references}
        curves |= {
            "wealth": record.wealth,
            "turnover": record.turnover,
            "cost_bps": 1e4 * record.costs,
            "cash": record.weights[:, -1],
            "largest_weight": np.abs(record.weights[:, :-1]).max(axis=1),
        }
        for name, curve in curves.items():
            for session, value in enumerate(curve):
                self._writer.add_scalar(f"chosen/{name}", float(value), session)
        # The tab knows numbers and texts only.
        flat = {
            key: value if isinstance(value, bool | int | float | str) else json.dumps(value)
            for key, value in settings.model_dump(mode="json").items()
        }
        metrics = {f"hparam/{name}": value for name, value in scores.items() if np.isfinite(value)}
        self._writer.add_hparams(flat, metrics, run_name=".")
        self._writer.flush()


def _make_tag(record: Backtest) -> str:
    return record.slug.replace("-", "_")
