"""New bars extend a run: what was known is compared, what is new is forecast, agents are refitted when they are due."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alfred.config import Experiment
from alfred.data.files import write_atomically
from alfred.data.market import Market
from alfred.data.quality.jumps import describe_jumps, find_price_jumps
from alfred.data.signals import Signals
from alfred.data.sources import compute_market_checksum
from alfred.data.splits import Fold
from alfred.errors import DataError, SignalError
from alfred.training.cross_fitting.folds import describe_training, train_agents
from alfred.training.jobs import count_workers, open_executor
from alfred.training.live.opened import (
    BARS_FILE,
    SIGNALS_FILE,
    STATE_FILE,
    Known,
    cut_base_folds,
    extend_trained,
    load_live,
    locate_agent,
    read_known,
    read_overrides,
    read_signals,
)
from alfred.training.live.restated import Restatement, compare_bars, load_bars, save_bars
from alfred.training.live.schedule import count_until_refit, extend_folds
from alfred.training.live.tomorrow import merge_signals
from alfred.training.locks import hold_run
from alfred.training.pipeline import make_signals
from alfred.training.prepared import Prepared
from alfred.training.progress import Reporter, Silence
from alfred.training.runs import RunFolder

_SHOWN = 3


@dataclass(frozen=True)
class Update:
    """What an update changed.

    Attributes:
        run: Directory of the run.
        before: ISO date of the last session that was known before.
        until: ISO date of the last one that is known now.
        n_new: Sessions that are new.
        restated: Bars of the past that are not what they were.
        rescaled: Factor of each symbol whose prices were all multiplied by one.
        refitted: Trainings that were made, each on one line.
        next_refit_in: Sessions until agents are refitted again.
        notes: What else a reader should know.
    """

    run: str
    before: str
    until: str
    n_new: int
    restated: tuple[Restatement, ...]
    rescaled: Mapping[str, float]
    refitted: tuple[str, ...]
    next_refit_in: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**self.__dict__, "restated": [item.to_json() for item in self.restated], "rescaled": {**self.rescaled}}


def update(
    path: Path | str,
    overrides: Sequence[str] = (),
    *,
    accept_restated: bool = False,
    accept_jumps: bool = False,
    fresh: bool = False,
    reporter: Reporter | None = None,
) -> Update:
    """Read the data of a run again and bring signals and policies up to date; what was judged stays as it is.

    Signals of sessions that are known stay what they were: decisions were taken on them. Forecasts come out of the
    cache where the bars behind them are the same.

    Args:
        path: Directory of the run.
        overrides: `a.b=value` each; see `alfred.training.runs.LIVE_KEYS`.
        accept_restated: Go on although bars of the past were restated.
        accept_jumps: Go on although a new close is off by a factor.
        fresh: Forget earlier updates first.
        reporter: Progress callback.

    Raises:
        DataError: The data end earlier than before, were restated, or have a new close that is off by a factor.
        AlfredError: The run cannot be extended; the text says why.
    """
    listener = reporter or Silence()
    run, experiment, market = load_live(path, overrides, fresh=fresh)
    with hold_run(run.path), open_executor(experiment.training, run.root):
        if fresh:
            shutil.rmtree(run.live, ignore_errors=True)
        known = read_known(run)
        if market.dates[-1] < known.until:
            raise DataError(
                f"the data end {market.dates[-1].date()}, and {run.path} knows sessions until {known.until.date()}; "
                "restore the data, or say where they are with --set data.path=..."
            )
        restated, rescaled, notes = _compare(run, known, market.until(known.until), accept=accept_restated)
        notes += _find_jumps(market, known, accept=accept_jumps)
        signals = _extend_signals(run, experiment, known, market, listener)
        base = cut_base_folds(run, experiment, market)
        folds = extend_folds(base, market.dates, experiment)
        refitted = _refit(Prepared(experiment, run, market, folds, signals), len(base), listener)
        save_bars(market, run.live / BARS_FILE)
        signals.save(run.live / SIGNALS_FILE)
        # Last: it says that everything else is there.
        _write_state(run, known, market, restated, overrides)
        return Update(
            run=str(run.path),
            before=str(known.until.date()),
            until=str(market.dates[-1].date()),
            n_new=int((market.dates > known.until).sum()),
            restated=restated,
            rescaled=rescaled,
            refitted=refitted,
            next_refit_in=count_until_refit(folds, base, market.dates),
            notes=(*notes, *_list_notes(experiment)),
        )


def _compare(
    run: RunFolder, known: Known, past: Market, *, accept: bool
) -> tuple[tuple[Restatement, ...], Mapping[str, float], list[str]]:
    """Return what was restated, and what is to be said of it.

    Raises:
        DataError: Something was, and nobody said that it is accepted.
    """
    if compute_market_checksum(past) == known.checksum:
        return (), {}, []
    hint = "restore the data, or go on with --accept-restated: what was decided stays, what comes is on the new prices"
    bars = run.live / BARS_FILE
    if not bars.exists():
        if not accept:
            raise DataError(
                f"the data until {known.until.date()} are not those that {run.path} was made from, and no bars were "
                f"kept before the first update to say which: {hint}"
            )
        return (), {}, [f"the data until {known.until.date()} are not those that the run was made from"]
    earlier = load_bars(bars)
    found = compare_bars(earlier[earlier.index <= known.until], past)
    if found.restated and not accept:
        shown = "; ".join(map(str, found.restated[:_SHOWN]))
        more = f" and {len(found.restated) - _SHOWN} more" if len(found.restated) > _SHOWN else ""
        raise DataError(f"{len(found.restated)} bar(s) were restated: {shown}{more}; {hint}")
    notes = []
    if not found.restated and not found.rescaled:
        notes.append(
            "prices are what they were, but something else of the past changed (news, reports, rates, sectors)"
        )
    return found.restated, found.rescaled, notes


def _find_jumps(market: Market, known: Known, *, accept: bool) -> list[str]:
    """Return what is to be said of new closes that are off by a factor: what is decided and booked on them stays.

    Raises:
        DataError: There is one, and nobody said that it is accepted.
    """
    found = [item for item in find_price_jumps(market) if item[1] > known.until]
    if not found:
        return []
    told = describe_jumps(found)
    if not accept:
        raise DataError(
            f"{told}; correct the data, or go on with --accept-jumps where it is true: an account on paper books it "
            "for good"
        )
    return [f"{told}; it was accepted"]


def _extend_signals(
    run: RunFolder, experiment: Experiment, known: Known, market: Market, reporter: Reporter
) -> Signals:
    """Return the signals that are known, and those of sessions that are new.

    Raises:
        SignalError: The new ones have other names.
    """
    earlier = read_signals(run, known).until(known.until)
    # A session of the past may have come late, or be gone: what is decided now needs a row for each, and no other.
    due = market.dates[market.dates >= earlier.dates[0]]
    if due.equals(earlier.dates):
        return earlier
    later = make_signals(experiment, market, run.root, run.live / "forecasts", reporter=reporter)
    if later.names != earlier.names:
        raise SignalError(f"the signals of {run.path} have other names now; make the run again with `alfred run`")
    return merge_signals(earlier, later, due)


def _refit(prepared: Prepared, n_base: int, reporter: Reporter) -> tuple[str, ...]:
    """Train every agent on the folds that have begun since the run was made, and say what was trained."""
    experiment, run = prepared.experiment, prepared.run
    done = len(extend_trained(run, experiment, prepared.folds[:n_base], prepared.market))
    later: Sequence[Fold] = prepared.folds[done:]
    if not later:
        return ()
    scaled, made = prepared.observed.scaled(), list[str]()
    for settings in experiment.agents:
        trained = train_agents(
            prepared.market,
            scaled,
            later,
            settings,
            experiment.env,
            experiment.training,
            seed=experiment.seed,
            n_jobs=count_workers(experiment.training),
            folder=locate_agent(run, settings.label),
            reporter=reporter,
        )
        made += [f"{settings.label} fold {item.fold} seed {item.seed}: {describe_training(item)}" for item in trained]
    return tuple(made)


def _write_state(
    run: RunFolder, known: Known, market: Market, restated: Sequence[Restatement], overrides: Sequence[str]
) -> None:
    state = {
        "until": str(market.dates[-1].date()),
        "checksum": compute_market_checksum(market),
        "run_checksum": known.run_checksum,
        "overrides": list(dict.fromkeys([*read_overrides(run), *overrides])),
        "updated": datetime.now(UTC).isoformat(timespec="seconds"),
        "restated": [item.to_json() for item in restated],
    }
    text = json.dumps(state, indent=2)
    write_atomically(run.live / STATE_FILE, lambda path: path.write_text(text, encoding="utf-8"))


def _list_notes(experiment: Experiment) -> list[str]:
    notes = []
    if experiment.data.end is not None:
        notes.append(f"data.end is {experiment.data.end}: later bars are not read; --set data.end=null reads them")
    if experiment.forecast.cache is None:
        notes.append("forecast.cache is null: every forecast is made again; a cache makes the new ones only")
    return notes
