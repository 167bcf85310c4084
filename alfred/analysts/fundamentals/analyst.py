"""A network that reads a sequence of quarterly reports and forecasts what follows the latest one."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch

from alfred.analysts.base import Analyst
from alfred.analysts.extractors.network import ExtractorNetwork
from alfred.analysts.forecast import DEFAULT_LEVELS, Forecast
from alfred.analysts.fundamentals.examples import Scale, make_examples
from alfred.analysts.fundamentals.quarters import Quarters, choose_columns, list_fields, read_quarters
from alfred.analysts.fundamentals.settings import FundamentalsAnalystSettings
from alfred.analysts.networks.base import build_seeded, fit_split, to_array
from alfred.analysts.settings import AnalystSettings
from alfred.analysts.windows import scale_by_horizon
from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.learning.devices import find_device
from alfred.learning.fitting import FittingReport
from alfred.learning.tensors import load_state, read_tensors, write_tensors
from alfred.typing import FloatArray

_FILE = "model.safetensors"
_SCALE = ("centre", "width")
_PIECE = 4096
_FEWEST_SESSIONS = 22


class FundamentalsAnalyst(Analyst):
    """One network for all symbols over the last Q quarterly reports, with any of the extractor's parts and heads.

    Each report is read as it stood on the session that learnt of it: its margins and surprise with their changes, where
    price and volume stood against their averages, and yields, volatility and oil. A forecast is made on that session
    for the horizon that begins there, and stands unchanged, to the last digit, until the next report becomes known or
    `stale_after_days` have passed. Where none stands, the forecast is no change with the spread of the window.

    A value that is not known is masked: the network reads 0 and, beside it, that it is not known.

    Attributes:
        columns_: What is read at each report, `[F]`.
        scale_: Of the columns.
        network_: The network, in eval mode after `fit`.
        report_: How training went; None after loading.
    """

    settings_class: ClassVar[type[AnalystSettings]] = FundamentalsAnalystSettings
    settings: FundamentalsAnalystSettings

    columns_: tuple[str, ...]
    scale_: Scale
    network_: ExtractorNetwork
    report_: FittingReport | None = None

    @property
    def min_history(self) -> int:
        """Tradable sessions that a window must end with; earlier quarters that are missing are masked."""
        return _FEWEST_SESSIONS

    def fit(self, market: Market) -> Self:
        """Train from scratch on all reports with a known outcome; see the base class.

        Raises:
            ConfigError: The settings ask for a device that is not there.
            DataError: There are no or too few reports, or a column is missing or does not move.
        """
        examples = make_examples(market, self.settings, choose_columns(market, self.settings))
        self.columns_, self.scale_ = examples.columns, examples.scale
        self.fields = list_fields(examples.columns)
        device = find_device(self.settings.device)
        self.network_ = build_seeded(self._build, self.settings.seed).to(device)
        inputs, targets = (torch.from_numpy(array).to(device) for array in (examples.inputs, examples.targets))
        self.report_ = fit_split(
            self.network_,
            self._compute_loss,
            inputs,
            targets,
            n_train=examples.n_train,
            settings=self.settings.fitting,
            seed=self.settings.seed,
        )
        label, notes = self.settings.label, []
        with torch.no_grad():
            held_out = slice(examples.n_train, None)
            self.network_.head.measure(self.network_(inputs[held_out]), targets[held_out])
            if self.settings.own_components:
                held = self.network_.set_axes(self.network_.embed(inputs))
                if held < self.settings.own_components:
                    notes.append(f"{label}: {self.settings.own_components - held} components hold nothing and are zero")
        if examples.dropped:
            notes.append(f"{label} does not read {', '.join(examples.dropped)}: constant or unknown in its history.")
        self.notes = tuple(notes)
        self.is_fitted = True
        return self

    def predict(self, contexts: Contexts) -> Forecast:
        """Forecast each window from its reports; see the base class."""
        self.require_fitted()
        quarters = read_quarters(contexts, self.columns_, self.settings)
        shape = (len(contexts), len(self.horizons))
        plain = Forecast.from_gaussian(np.zeros(shape), np.ones(shape), self.horizons)
        mean, quantiles = plain.mean.copy(), plain.quantiles.copy()
        stands = np.flatnonzero(quarters.standing)
        for start in range(0, len(stands), _PIECE):
            rows = stands[start : start + _PIECE]
            with torch.no_grad():
                answer = self.network_.head.describe(self.network_(self._prepare(quarters, rows)))
            mean[rows], quantiles[rows] = (to_array(part) for part in answer)
        scale = scale_by_horizon(quarters.volatility, self.horizons)
        return Forecast(self.horizons, DEFAULT_LEVELS, mean * scale, quantiles * scale[:, :, None])

    def reduce(self, contexts: Contexts) -> FloatArray:
        """Return the components of the embedding, `[B, components]`, NaN where no forecast stands."""
        self.require_fitted()
        quarters = read_quarters(contexts, self.columns_, self.settings)
        stands = np.flatnonzero(quarters.standing)
        result = np.full((len(contexts), self.settings.own_components), np.nan)
        if len(stands):
            with torch.no_grad():
                result[stands] = to_array(self.network_.reduce(self._prepare(quarters, stands)))
        return result

    def _prepare(self, quarters: Quarters, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> torch.Tensor:
        """Return what the network reads of some windows, on its device, `[., Q, 2 F + 1]`."""
        chosen = Quarters(
            quarters.values[rows], quarters.present[rows], quarters.standing[rows], quarters.volatility[rows]
        )
        return torch.from_numpy(self.scale_.apply(chosen)).to(next(self.network_.parameters()).device)

    def _build(self) -> ExtractorNetwork:
        return ExtractorNetwork(self.settings, self.settings.quarters, 2 * len(self.columns_) + 1)

    def _compute_loss(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        inputs, targets = batch
        return self.network_.head.compute_loss(self.network_(inputs), targets).mean()

    def _save_weights(self, folder: Path) -> None:
        scale = {name: torch.from_numpy(getattr(self.scale_, name)) for name in _SCALE}
        note = {"columns": list(self.columns_), "notes": list(self.notes)}
        write_tensors(
            folder / _FILE, {**self.network_.state_dict(), **{f"scale.{k}": v for k, v in scale.items()}}, note
        )

    def _load_weights(self, folder: Path) -> None:
        tensors, note = read_tensors(folder / _FILE)
        columns, notes = note["columns"], note["notes"]
        if not isinstance(columns, list) or not isinstance(notes, list):
            raise ValueError("'columns' and 'notes' must be lists of texts")
        self.columns_, self.notes = tuple(map(str, columns)), tuple(map(str, notes))
        self.fields = list_fields(self.columns_)
        self.scale_ = Scale(*(tensors.pop(f"scale.{name}").numpy() for name in _SCALE))
        if self.scale_.centre.shape != (len(self.columns_),) or self.scale_.width.shape != (len(self.columns_),):
            raise ValueError(f"the scale is of {self.scale_.centre.shape} columns, not {len(self.columns_)}")
        network = build_seeded(self._build, self.settings.seed)
        load_state(network, tensors, source=folder / _FILE)
        self.network_ = network.to(find_device(self.settings.device)).eval()
