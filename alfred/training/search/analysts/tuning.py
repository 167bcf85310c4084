"""Search the best analyst of every symbol, and keep it as a file that people and runs read."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pandas as pd
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from alfred.analysts.chosen.entries import BestEntry, Scores, check_symbol
from alfred.analysts.registry import ANALYSTS
from alfred.data.market import Market
from alfred.data.sources import compute_market_checksum
from alfred.errors import ConfigError, DataError, suggest
from alfred.training.provenance.fingerprint import fingerprint_code
from alfred.training.provenance.stages import Parts, compute_digest, list_packages, read_public_versions
from alfred.training.search.analysts.families import find_kind, make_settings
from alfred.training.search.analysts.objective import FAMILY, SCORES, SETTINGS, SymbolObjective, Walk
from alfred.training.search.crew import Watch, explain_failure, run_studies
from alfred.training.search.curves import write_trial
from alfred.training.search.space import Space, Value, iterate_grid, read_defaults
from alfred.training.search.storage import open_storage
from alfred.training.search.study import Mode, StudyPlan, count_looks

BEST_FOLDER = "best"
_CACHE, _CURVES = ".cache", "tensorboard"
_VALIDATION_SHARE, _TEST_SHARE = 0.2, 0.2
_CODE = ("alfred.training.search.analysts.objective", "alfred.training.search.analysts.families")


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        name: Of the search; each symbol has a study `NAME.SYMBOL`.
        symbols: Whose analyst is searched; all that may be held when empty.
        families: What is searched, by family.
        n_trials: Trials a symbol.
        mode: How they are chosen.
        seed: Of the sampler.
        horizon: Sessions ahead.
        every: Sessions from one forecast to the next.
        refit_every: Sessions from one fit to the next.
        validate_from: First session to forecast from; the last fifth of what lies before the test when None.
        test_from: First session that the search may not know; the last fifth of the market when None.
    """

    name: str
    symbols: tuple[str, ...]
    families: Mapping[str, Space]
    n_trials: int
    mode: Mode
    seed: int
    horizon: int
    every: int
    refit_every: int
    validate_from: pd.Timestamp | None = None
    test_from: pd.Timestamp | None = None


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        entries: The best analyst of each symbol.
        studies: The studies by symbol.
        failures: Why a symbol has no entry.
        best: Folder of the entries.
    """

    entries: Mapping[str, BestEntry]
    studies: Mapping[str, Study]
    failures: Mapping[str, str]
    best: Path


def tune_analysts(
    market: Market,
    request: Request,
    folder: Path,
    *,
    storage: str,
    n_workers: int,
    fresh: bool = False,
    watch: Watch | None = None,
) -> Tuned:
    """Search the analyst with the smallest error of the percentage return for each symbol.

    Args:
        market: The whole market; searching processes are handed a cut that ends before the test.
        request: What is asked for.
        folder: Where the entries, the curves and the fits are kept.
        storage: Where the studies are kept.
        n_workers: Processes.
        fresh: Begin again what was begun with other data, code, space or dates.
        watch: Told the studies while they run.

    Raises:
        ConfigError: A symbol or a date is not one of the market.
        DataError: There is too little history.
        CheckpointError: The studies were begun with something else.
        AlfredError: No trial of any symbol succeeded.
    """
    plans = plan_studies(market, request, folder / _CACHE)
    studies = run_studies(
        list(plans.values()),
        storage,
        folder,
        n_workers=n_workers,
        fresh=fresh,
        need_all=False,
        watch=watch,
        finished=partial(write_trial, folder / _CURVES),
    )
    found = dict(zip(plans, studies, strict=True))
    opened = open_storage(storage, reading=True)
    failures = {symbol: why for symbol, study in found.items() if (why := explain_failure(study))}
    entries = {
        symbol: _describe(symbol, plans[symbol], study, count_looks(opened, plans[symbol].name))
        for symbol, study in found.items()
        if symbol not in failures
    }
    for entry in entries.values():
        entry.write(folder / BEST_FOLDER)
    return Tuned(entries, found, failures, folder / BEST_FOLDER)


def plan_studies(market: Market, request: Request, cache: Path | None) -> dict[str, StudyPlan]:
    """Return the study of each symbol, with a market that ends before the test.

    Raises:
        ConfigError: A symbol or a date is not one of the market.
        DataError: There is too little history.
    """
    symbols = request.symbols or market.universe
    for symbol in symbols:
        if symbol not in market.symbols:
            raise ConfigError(f"--symbols: there is no '{symbol}' in the data.{suggest(symbol, market.symbols)}")
        check_symbol(symbol)
    past, walk = cut_search(market, request)
    anchors = list_anchors(request)
    parts: Parts = {
        "data": compute_market_checksum(past),
        "split": compute_digest(vars(walk)),
        "space": compute_digest({name: _dump(space) for name, space in request.families.items()}, request.mode),
        "code": fingerprint_code(*(ANALYSTS.load(find_kind(name)) for name in request.families), modules=_CODE),
        "packages": read_public_versions(
            list_packages(*(make_settings(name, {}, request.horizon) for name in request.families))
        ),
    }
    return {
        symbol: StudyPlan(
            name=f"{request.name}.{symbol}",
            parts={**parts, "symbol": symbol},
            objective=SymbolObjective(past, symbol, walk, request.families, cache),
            n_trials=request.n_trials,
            seed=request.seed,
            mode=request.mode,
            # Symbols begin at different points, so that workers rarely want the same fit at the same time.
            anchors=(*anchors[:1], *anchors[place + 1 :], *anchors[1 : place + 1]),
            n_startup=max(len(anchors) + 2, request.n_trials // 3),
        )
        for place, symbol in zip(itertools.cycle(range(len(anchors))), dict.fromkeys(symbols), strict=False)
    }


def cut_search(market: Market, request: Request) -> tuple[Market, Walk]:
    """Return the market as far as the search may know it, and the sessions that it validates on.

    Raises:
        ConfigError: A date lies outside, or the dates are in the wrong order.
        DataError: Nothing is left to train or to validate on.
    """
    test = int(market.n_dates * (1 - _TEST_SHARE))
    if request.test_from is not None:
        test = int(market.dates.searchsorted(request.test_from))
    first = int(test * (1 - _VALIDATION_SHARE))
    if request.validate_from is not None:
        first = int(market.dates.searchsorted(request.validate_from))
    if test >= market.n_dates:
        raise ConfigError(
            f"--test-from lies after the last session, {market.dates[-1].date()}: the search would know everything, "
            "and nothing would be left to judge on"
        )
    if not 0 < first < test:
        raise ConfigError(
            f"validation begins at session {first} and the test at {test} of {market.n_dates}; --validate-from must "
            f"lie after {market.dates[0].date()} and before --test-from"
        )
    if first + request.horizon >= test:
        raise DataError(
            f"{test - first} sessions of validation are too few for a horizon of {request.horizon}; choose an earlier "
            "--validate-from or a shorter --horizon"
        )
    past = market.until(market.dates[test - 1]).copy()
    return past, Walk(first, past.n_dates - 1, request.horizon, request.every, request.refit_every)


def list_anchors(request: Request) -> list[dict[str, Value]]:
    """Return the points that are tried first: all of a grid, or each family at its defaults."""
    points: list[dict[str, Value]] = []
    for family, space in request.families.items():
        if request.mode == "grid":
            points += [{FAMILY: family, **point} for point in iterate_grid(space, f"{family}.")]
        else:
            defaults = make_settings(family, {}, request.horizon)
            points.append({FAMILY: family, **read_defaults(defaults, space, f"{family}.")})
    return points


def find_best(study: Study) -> FrozenTrial:
    """Return the best trial; of equal ones the earliest."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(done, key=lambda trial: (trial.value, trial.number))


def _describe(symbol: str, plan: StudyPlan, study: Study, n_looks: int) -> BestEntry:
    best = find_best(study)
    return BestEntry(
        symbol=symbol,
        analyst=json.loads(best.user_attrs[SETTINGS]),
        validation=Scores.model_validate_json(best.user_attrs[SCORES]),
        study=plan.full_name,
        trial=best.number,
        n_trials=n_looks,
        fingerprint={name: str(value) for name, value in plan.parts.items() if name in ("data", "code")},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _dump(space: Space) -> dict[str, object]:
    return {key: dimension.model_dump(mode="json") for key, dimension in space.items()}
