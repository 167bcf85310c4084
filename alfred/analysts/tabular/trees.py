"""Gradient boosted trees on the features of each window, one ensemble a horizon."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from alfred.analysts.tabular.base import Arrays, TabularAnalyst
from alfred.analysts.tabular.examples import Examples
from alfred.analysts.tabular.forest import Forest
from alfred.analysts.tabular.output import OutputRule
from alfred.analysts.tabular.settings import TreesSettings
from alfred.typing import Float

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

# A quarter of the usual number: growing is faster, and fewer windows stand so near an edge that the last digit of a
# price, which an adjustment rounds, moves them across it.
_BINS = 64


class TreesAnalyst(TabularAnalyst):
    """An ensemble of boosted trees for each horizon (Friedman, 2001; histograms after Ke et al., 2017).

    The number of rounds of each horizon is the one with the smallest squared error of its averaged members on the
    validation part, which no training label reaches into; no round at all is among the choices. The ensemble is then
    grown again on everything, to that number. Trees are kept as plain arrays and read by `Forest`.

    Attributes:
        forests_: The members of each horizon, `[H][n_members]`.
        output_: What becomes of their forecasts.
    """

    settings_class = TreesSettings
    settings: TreesSettings

    forests_: list[list[Forest]]
    output_: OutputRule

    def _learn(self, examples: Examples) -> tuple[str, ...]:
        train, validation = examples.train, examples.validation
        values, labels, scales = examples.values, examples.labels, examples.scales
        fitted, foretold, rounds = [], [], []
        self.forests_ = []
        for label in labels.T:
            models = self._grow(values[train], label[train], self.settings.n_rounds)
            n_rounds, forecasts = _find_best_round(models, values[validation], label[validation])
            rounds.append(n_rounds)
            foretold.append(forecasts)
            fitted.append(next(islice(_iterate_stages(models, values[train]), n_rounds, None)))
            self.forests_.append(self._build(values, label, n_rounds))
        # The spread is that of what is said in the end, from what was learnt before validation began.
        rule = OutputRule.fit(self.settings, np.stack(fitted, axis=1), scales[train])
        means = rule.apply(np.stack(foretold, axis=1), scales[validation]) / scales[validation]
        self.spread_ = np.sqrt(np.mean((labels[validation] - means) ** 2, axis=0))
        self.output_ = OutputRule.fit(self.settings, self._sum(values), scales)
        return self._describe(rounds)

    def _forecast(self, values: Float, scales: Float) -> Float:
        return self.output_.apply(self._sum(values), scales)

    def _sum(self, values: Float) -> Float:
        """Return the forecasts of each horizon in units of volatility, `[B, H]`."""
        columns = []
        for members in self.forests_:
            total = np.zeros(len(values))
            for member in members:
                total += member.predict(values)
            columns.append(total / len(members))
        return np.stack(columns, axis=1)

    def _build(self, values: Float, label: Float, n_rounds: int) -> list[Forest]:
        if n_rounds == 0:
            return [Forest.constant(float(label.mean()))] * self.settings.n_members
        return [Forest.from_model(model) for model in self._grow(values, label, n_rounds)]

    def _grow(self, values: Float, label: Float, n_rounds: int) -> list[HistGradientBoostingRegressor]:
        """Return one fitted model a member."""
        # scikit-learn takes most of a second to import, and a saved analyst forecasts without it.
        from sklearn.ensemble import HistGradientBoostingRegressor

        # A column that begins later has no bins; as a constant it is never split on.
        values = np.where(np.isfinite(values).any(axis=0), values, 0.0)
        settings = self.settings
        seeds = np.random.SeedSequence(settings.seed).generate_state(settings.n_members)
        return [
            HistGradientBoostingRegressor(
                max_iter=n_rounds,
                learning_rate=settings.learning_rate,
                max_leaf_nodes=settings.max_leaf_nodes,
                min_samples_leaf=settings.min_samples_leaf,
                l2_regularization=settings.l2_penalty,
                max_features=settings.max_features,
                max_bins=_BINS,
                # Its own early stopping draws validation rows at random, whose labels overlap those learnt from.
                early_stopping=False,
                random_state=int(seed),
            ).fit(values, label)
            for seed in seeds
        ]

    def _describe(self, rounds: list[int]) -> tuple[str, ...]:
        notes = []
        if empty := [str(h) for h, count in zip(self.horizons, rounds, strict=True) if count == 0]:
            notes.append(
                f"{self.settings.label} found no tree that helped on its validation part at horizon "
                f"{', '.join(empty)}: there it forecasts the mean of the past, in units of volatility."
            )
        if self.settings.invert:
            notes.append(f"{self.settings.label} is inverted: what its trees expect to rise, it forecasts to fall.")
        return tuple(notes)

    def _to_tensors(self) -> Arrays:
        arrays: Arrays = {**self.output_.to_arrays()}
        for horizon, members in zip(self.horizons, self.forests_, strict=True):
            for number, forest in enumerate(members):
                arrays |= forest.to_arrays(f"forest.{horizon}.{number}")
        return arrays

    def _from_tensors(self, arrays: Arrays) -> None:
        self.output_ = OutputRule.from_arrays(self.settings, arrays)
        self.forests_ = [
            [
                Forest.from_arrays(arrays, f"forest.{horizon}.{number}", len(self.names_))
                for number in range(self.settings.n_members)
            ]
            for horizon in self.horizons
        ]


def _iterate_stages(models: list[HistGradientBoostingRegressor], values: Float) -> Iterator[Float]:
    """Yield the forecasts `[B]` of the averaged members before the first round and after each one.

    Args:
        models: The members, grown for the same number of rounds.
        values: Features, `[B, F]`.
    """
    yield np.full(len(values), np.mean([float(np.ravel(model._baseline_prediction)[0]) for model in models]))
    for stages in zip(*(model.staged_predict(values) for model in models), strict=True):
        yield np.mean(stages, axis=0)


def _find_best_round(models: list[HistGradientBoostingRegressor], values: Float, label: Float) -> tuple[int, Float]:
    """Return the round with the smallest squared error, the earliest among equals, and its forecasts `[B]`."""
    errors, best, forecasts = [], np.inf, np.zeros(len(values))
    for stage in _iterate_stages(models, values):
        errors.append(float(np.mean((stage - label) ** 2)))
        if errors[-1] < best:
            best, forecasts = errors[-1], stage
    return int(np.argmin(errors)), forecasts
