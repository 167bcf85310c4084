"""The quarterly experiment from end to end: choose companies, learn from some, judge on others, trade, and say so."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alfred.config import Experiment
from alfred.data.files import write_atomically
from alfred.data.market import Market
from alfred.evaluation.results import ResultRow, compute_results
from alfred.training.judging.caveats import find_execution_caveat, find_payout_caveat
from alfred.training.locks import hold_run
from alfred.training.progress import Reporter
from alfred.training.provenance.stages import compute_digest
from alfred.training.provenance.trials import DataIdentity, TrialLog, select_trials
from alfred.training.quarterly.forecasts import (
    ReportForecasts,
    count_trainings,
    find_outcomes,
    forecast_reports,
    join_signals,
    spread_forecasts,
)
from alfred.training.quarterly.scores import HeadScores, score_head
from alfred.training.quarterly.settings import QuarterlySettings
from alfred.training.quarterly.strategies import BASKET, BENCHMARK, STRATEGIES, walk_strategies
from alfred.training.quarterly.universe import Sides, choose_sides

FOLDER = "quarterly"
RESULTS_FILE = "results.json"
FORECASTS_FILE = "forecasts.csv"

_SURVIVORS = (
    "Companies are those that the price table has: where it was made from today's lists, it holds survivors, and being "
    "long looks better than it was."
)


@dataclass(frozen=True)
class QuarterlyResult:
    """What the experiment found.

    Attributes:
        sides: Who was learnt from and who was judged.
        start: First date of the test.
        end: Last date of it.
        scores: One row a head.
        rows: The strategies, then the basket and the benchmark.
        notes: What a reader must know, a sentence each.
        folder: Where everything stands.
    """

    sides: Sides
    start: str
    end: str
    scores: tuple[HeadScores, ...]
    rows: tuple[ResultRow, ...]
    notes: tuple[str, ...]
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "split": str(self.sides.split.date()),
            "start": self.start,
            "end": self.end,
            "train_symbols": list(self.sides.train),
            "evaluate_symbols": list(self.sides.evaluate),
            "scores": [item.to_json() for item in self.scores],
            "backtests": [row.to_json() for row in self.rows],
            "notes": list(self.notes),
            "folder": str(self.folder),
        }


def run_quarterly(
    experiment: Experiment, settings: QuarterlySettings, market: Market, root: Path | str, *, reporter: Reporter
) -> QuarterlyResult:
    """Run the experiment and write its results below `root`.

    Each of the three strategies is entered in the log of trials, and the verdicts pay for all that were ever made on
    these companies over these dates.

    Args:
        experiment: Costs, execution, intervals and trials made elsewhere; the rest of it is not read.
        settings: The experiment.
        market: Prices with reports and, where there are any, macro series.
        root: Folder of all runs.
        reporter: Progress callback.

    Raises:
        ConfigError: The terms have limits or risk rules.
        DataError: Reports, symbols or dates do not suffice, a column has no scale, or a price is off by a factor.
        AlfredError: Another process works on this experiment.
    """
    market = market if settings.end is None else market.until(pd.Timestamp(settings.end))
    sides = choose_sides(market, settings)
    judged = market.select(sides.evaluate)
    folder = Path(root) / FOLDER / settings.name
    with hold_run(folder):
        forecasts: dict[str, ReportForecasts] = {}
        notes: dict[str, None] = {}
        for head in settings.heads:
            progress = reporter.begin(
                f"{head} of {len(sides.evaluate)} unseen", count_trainings(market, sides, settings)
            )
            forecasts[head], told = forecast_reports(market, sides, settings, head, progress)
            notes |= dict.fromkeys(told)
        signals = join_signals(
            [spread_forecasts(judged, forecasts[head], sides, head, settings) for head in settings.heads]
        )
        scores = tuple(
            score_head(
                head,
                pd.DatetimeIndex(judged.dates[found.rows]),
                found.probability,
                found.mean,
                find_outcomes(judged, found, settings),
                experiment.intervals,
            )
            for head, found in forecasts.items()
        )
        records = walk_strategies(judged, signals, settings, experiment.env)
        log, asked = TrialLog(root), settings.model_dump(mode="json", exclude={"name"})
        for record in records[: len(STRATEGIES)]:
            log.add(record, judged, compute_digest(record.name, asked, sides.train), f"{FOLDER}/{settings.name}")
        first, last = records[0].dates[0], records[0].dates[-1]
        trials = select_trials(log.read(), DataIdentity.from_market(judged), first, last)
        rows = compute_results(
            records,
            benchmark=BENCHMARK,
            equal_weight=BASKET,
            n_trials=experiment.n_trials + len(trials),
            trial_sharpes=[math.nan if trial.sharpe is None else trial.sharpe for trial in trials],
            intervals=experiment.intervals,
        )
        caveats = [
            find_execution_caveat(judged, experiment.env),
            find_payout_caveat(judged, experiment.env, first, last),
        ]
        told_all = dict.fromkeys([*notes, *market.notes, *(caveat for caveat in caveats if caveat), _SURVIVORS])
        result = QuarterlyResult(
            sides, str(first.date()), str(last.date()), scores, tuple(rows), tuple(told_all), folder
        )
        for record in records:
            record.save(folder / f"{record.slug}.parquet")
        _write(result, judged, forecasts, settings)
    return result


def _write(
    result: QuarterlyResult, judged: Market, forecasts: dict[str, ReportForecasts], settings: QuarterlySettings
) -> None:
    text = json.dumps({"settings": settings.model_dump(mode="json"), **result.to_json()}, indent=2, allow_nan=False)
    tables = []
    for head, found in forecasts.items():
        columns = {
            "head": head,
            "date": judged.dates[found.rows].date,
            "symbol": np.array(judged.symbols)[found.columns],
            "trained_until": judged.dates[found.trained].date,
            "probability": found.probability,
            "expected_return": found.mean,
            "outcome": find_outcomes(judged, found, settings),
        }
        tables.append(pd.DataFrame(columns))
    table = pd.concat(tables, ignore_index=True)
    write_atomically(result.folder / FORECASTS_FILE, lambda path: table.to_csv(path, index=False))
    write_atomically(result.folder / RESULTS_FILE, lambda path: path.write_text(text, encoding="utf-8"))
