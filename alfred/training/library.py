"""Trained analysts as objects of their own: fitted once, kept in a folder under a name, used by many runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pandas as pd

from alfred.analysts.registry import ANALYSTS
from alfred.analysts.saved import AnalystCard
from alfred.analysts.settings import CARD_FILE, AnalystSettings, SavedSettings
from alfred.data.files import read_text
from alfred.data.market import Market
from alfred.data.sources import compute_market_checksum
from alfred.errors import AlfredError, CheckpointError, ConfigError, suggest
from alfred.keys.mistakes import explain_briefly
from alfred.learning.watch import watch_training
from alfred.settings import check_name
from alfred.training.jobs import Job, run_jobs
from alfred.training.pieces import fit_analyst
from alfred.training.progress import Reporter
from alfred.training.provenance.stages import (
    compute_digest,
    digest_analyst,
    fingerprint_analyst,
    list_packages,
    read_public_versions,
)


def train_analysts(
    market: Market,
    analysts: list[AnalystSettings],
    folder: Path,
    *,
    until: pd.Timestamp | str | None = None,
    n_jobs: int,
    reporter: Reporter,
    fresh: bool = False,
) -> list[AnalystCard]:
    """Fit analysts on the history until a date and keep each in a folder of its name.

    One that is there already, with the same settings, market and code, is left as it is, so that a killed command goes
    on where it was.

    Args:
        market: The whole market.
        analysts: Who is trained.
        folder: Where the trained ones stand.
        until: Last session that may be read; the last of the market when left out.
        n_jobs: Processes.
        reporter: Progress callback.
        fresh: Train again what is there.

    Returns:
        The cards, in the order of `analysts`.

    Raises:
        ConfigError: One is a saved analyst itself.
        CheckpointError: Another analyst has the name already, and `fresh` is False.
    """
    past = market if until is None else market.until(pd.Timestamp(until))
    # A copy: the memory behind a cut goes on past its end. Notes are of the whole market, and may tell what comes.
    past = replace(past.copy(), notes=())
    checksum = compute_market_checksum(past)
    cards: dict[str, AnalystCard] = {}
    jobs = []
    for settings in analysts:
        if isinstance(settings, SavedSettings):
            raise ConfigError(
                f"analyst '{settings.label}' is saved already, in {settings.path}; leave it out with --only"
            )
        place = folder / check_name(settings.label, "analyst")
        card = None if fresh else _find_same(place, settings, checksum)
        if card is None:
            jobs.append(Job(settings.label, partial(_train, past, checksum, settings, place)))
        else:
            reporter.say(f"analyst {settings.label}: trained already, in {place}")
            cards[settings.label] = card
    for card in run_jobs(jobs, n_jobs, reporter):
        cards[card.name] = card
    return [cards[settings.label] for settings in analysts]


def list_trained(folder: Path) -> list[tuple[Path, AnalystCard]]:
    """Return the trained analysts of a folder, by name; what is not one is passed over."""
    places = sorted(path.parent for path in folder.glob(f"*/{CARD_FILE}")) if folder.is_dir() else []
    found = []
    for place in places:
        try:
            found.append((place, AnalystCard.read(place)))
        except CheckpointError:
            continue
    return found


def find_trained(name: str, folder: Path) -> tuple[Path, AnalystCard]:
    """Return the trained analyst that stands under a name in a folder, or in a folder that is named itself.

    Raises:
        CheckpointError: There is none.
    """
    known = {place.name: (place, card) for place, card in list_trained(folder)}
    if name in known:
        return known[name]
    if (Path(name) / CARD_FILE).is_file():
        return Path(name), AnalystCard.read(name)
    raise CheckpointError(
        f"there is no trained analyst '{name}' in {folder}; known: {', '.join(known) or 'none'}."
        f"{suggest(name, list(known))} Train one with alfred analysts train"
    )


def explain_code(card: AnalystCard, settings: AnalystSettings) -> str:
    """Return whether the code of a trained analyst is still what it was trained with, for people."""
    try:
        now = fingerprint_analyst(settings)
    except AlfredError as error:
        return f"cannot be read ({error})"
    return "as it was" if now == card.code else "has changed since: train it again to be sure"


def read_settings(place: Path, card: AnalystCard) -> AnalystSettings:
    """Return the settings of a trained analyst.

    Raises:
        CheckpointError: They are missing or damaged.
        ConfigError: Its kind is unknown, for instance because its plugin was not named.
    """
    cls = ANALYSTS.load_settings(card.kind)
    try:
        settings: AnalystSettings = cls.model_validate_json(read_text(place / "settings.json"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{place} holds no settings of a '{card.kind}' ({explain_briefly(error)}); train it again"
        ) from error
    return settings


def _find_same(place: Path, settings: AnalystSettings, checksum: str) -> AnalystCard | None:
    """Return the card when exactly this analyst was trained before; refuse to overwrite another one.

    Raises:
        CheckpointError: Another analyst has the place.
    """
    if not (place / CARD_FILE).is_file():
        return None
    card = AnalystCard.read(place)
    differing = [
        what
        for what, same in (
            ("settings", card.digest == digest_analyst(settings)),
            ("market", card.market == checksum),
            ("code", card.code == fingerprint_analyst(settings)),
        )
        if not same
    ]
    if differing:
        raise CheckpointError(
            f"{place} holds an analyst that was trained until {card.trained_until} with another "
            f"{' and '.join(differing)}; give this one another name, choose another --folder, or write over it "
            "with --fresh"
        )
    return card


def _train(
    past: Market, checksum: str, settings: AnalystSettings, place: Path, *, progress: Callable[[int], None]
) -> AnalystCard:
    code = fingerprint_analyst(settings)
    # Beside the analyst, where no name leads: what is not part of it stays out of its digest.
    unfinished = place.parent / f".{place.name}"
    state = unfinished / compute_digest(settings.model_dump(mode="json"), checksum, code)
    with watch_training(curves=place.parent / ".curves" / place.name, checkpoints=state):
        analyst = fit_analyst(settings, past)
    # The card goes first and comes back last: a folder with a card is whole.
    (place / CARD_FILE).unlink(missing_ok=True)
    analyst.save_pretrained(place)
    card = AnalystCard(
        name=settings.label,
        kind=settings.kind,
        horizons=settings.horizons,
        context_length=settings.context_length,
        components=settings.own_components,
        forecast=settings.offers_forecast,
        trained_from=past.dates[0].date(),
        trained_until=past.dates[-1].date(),
        symbols=past.symbols,
        digest=digest_analyst(settings),
        market=checksum,
        code=code,
        versions=read_public_versions(list_packages(settings)),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        notes=analyst.notes,
    )
    card.write(place)
    shutil.rmtree(unfinished, ignore_errors=True)
    progress(1)
    return card
