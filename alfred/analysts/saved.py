"""An analyst that was trained before: read from its folder, never fitted again."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Annotated, Self

import pandas as pd
from pydantic import AfterValidator

from alfred.analysts.base import Analyst
from alfred.analysts.forecast import Forecast
from alfred.analysts.registry import ANALYSTS
from alfred.analysts.settings import CARD_FILE, SAVED_FIELDS, SavedSettings
from alfred.data.contexts import Contexts
from alfred.data.files import compute_checksum, read_json, read_text, write_atomically
from alfred.data.market import Market
from alfred.errors import CheckpointError, ConfigError
from alfred.keys.mistakes import explain_briefly
from alfred.settings import Settings, check_name
from alfred.typing import FloatArray

_MODEL_FILE = "model.json"


class AnalystCard(Settings):
    """Where a trained analyst comes from; it stands beside the weights as `card.json`.

    Attributes:
        name: Its name.
        kind: What it is, a key of the registry.
        horizons: Sessions ahead that it forecasts, `[H]`.
        context_length: Bars that a forecast reads.
        components: Components that it offers as signals.
        forecast: Whether its forecast is among its signals.
        trained_from: First session of the market that it was fitted on.
        trained_until: Last session of that market.
        symbols: Symbols of that market.
        digest: Digest of its settings, and of the weights that they name.
        market: Digest of that market.
        code: Digest of the code of the analyst when it was trained.
        versions: Versions of the packages that may change what is computed.
        created: When it was trained, ISO 8601, UTC.
        notes: Caveats of the fit, one sentence each.
    """

    name: Annotated[str, AfterValidator(lambda name: check_name(name, "analyst"))]
    kind: str
    horizons: tuple[int, ...]
    context_length: int
    components: int
    forecast: bool
    trained_from: date
    trained_until: date
    symbols: tuple[str, ...]
    digest: str
    market: str
    code: str
    versions: dict[str, str]
    created: str
    notes: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write the card into the folder of the analyst, whole or not at all."""
        text = self.model_dump_json(indent=2)
        write_atomically(folder / CARD_FILE, lambda path: path.write_text(text, encoding="utf-8"))

    @classmethod
    def read(cls, folder: Path | str) -> AnalystCard:
        """Read the card of a trained analyst.

        Raises:
            CheckpointError: There is none, or it is damaged.
        """
        path = Path(folder) / CARD_FILE
        try:
            return cls.model_validate_json(read_text(path))
        except (OSError, ValueError, ConfigError) as error:
            raise CheckpointError(
                f"{path} is not the card of a trained analyst ({explain_briefly(error)}); name a folder that alfred "
                "analysts train wrote"
            ) from error


class SavedAnalyst(Analyst):
    """Forecasts with an analyst of a folder, as it was trained.

    It may know what came until its last training session, so that this date is its knowledge cutoff: what it forecast
    before is judged apart, as for a released model.
    """

    settings_class = SavedSettings
    settings: SavedSettings

    def __init__(self, settings: SavedSettings) -> None:
        """Read the analyst and its card.

        Raises:
            CheckpointError: The folder is not that of a trained analyst, or a file is damaged.
        """
        super().__init__(settings)
        folder = Path(settings.path).expanduser()
        card = AnalystCard.read(folder)
        for name, key in SAVED_FIELDS.items():
            if getattr(settings, name) != getattr(card, key):
                raise CheckpointError(
                    f"{settings.path} holds an analyst with {name} {getattr(card, key)} now, but '{settings.label}' "
                    f"was set up with {getattr(settings, name)}: leave {name} out to use the one that is there"
                )
        self._trained = ANALYSTS.load(settings.trained_kind).from_pretrained(folder)
        self.fields = self._trained.fields
        cutoff = pd.Timestamp(card.trained_until)
        earlier = self._trained.knowledge_cutoff
        self.knowledge_cutoff = cutoff if earlier is None else max(cutoff, earlier)
        self.notes = (
            *card.notes,
            f"{settings.label} was trained once, until {card.trained_until}, and not refitted since",
        )

    @property
    def trained(self) -> Analyst:
        """The analyst of the folder."""
        return self._trained

    @property
    def min_history(self) -> int:
        """What the trained analyst needs; see the base class."""
        return self._trained.min_history

    def fit(self, market: Market) -> Self:
        """Leave the analyst as it is: it was trained before."""
        self.is_fitted = True
        return self

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window; see the base class."""
        self.require_fitted()
        return self._trained.predict(contexts)

    def reduce(self, contexts: Contexts) -> FloatArray:
        """Return the components of the trained analyst; see the base class."""
        self.require_fitted()
        return self._trained.reduce(contexts)

    def _save_weights(self, folder: Path) -> None:
        text = json.dumps({"checksum": digest_folder(Path(self.settings.path).expanduser())})
        write_atomically(folder / _MODEL_FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def _load_weights(self, folder: Path) -> None:
        told = read_json(folder / _MODEL_FILE)["checksum"]
        if told != digest_folder(Path(self.settings.path).expanduser()):
            raise CheckpointError(f"{self.settings.path} holds another analyst than the one that was used here")


def digest_folder(folder: Path) -> str:
    """Return a digest of all files of a trained analyst: names and bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return json.dumps([(path.relative_to(folder).as_posix(), compute_checksum(path)) for path in files])
