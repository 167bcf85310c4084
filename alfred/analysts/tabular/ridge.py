"""Ridge regression on the features of each window: the linear analyst that others have to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from alfred.analysts.tabular.base import Arrays, TabularAnalyst
from alfred.analysts.tabular.examples import Examples
from alfred.analysts.tabular.settings import RidgeSettings
from alfred.typing import Float


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model on standardised features, one penalty a horizon.

    Axes legend: E examples, F features, H horizons.

    Attributes:
        centre: Mean of each feature in training, `[F]`.
        width: Standard deviation of each feature in training, `[F]`; 1 where it does not move there.
        coefficients: `[H, F]`.
        intercept: Mean label, `[H]`.
    """

    centre: Float
    width: Float
    coefficients: Float
    intercept: Float

    @classmethod
    def from_arrays(cls, arrays: Arrays, n_features: int, n_horizons: int) -> Self:
        """Return the model of what `vars` of one gave.

        Raises:
            KeyError: A part is missing.
            ValueError: A part has another shape than features and horizons say.
        """
        shapes = {
            "centre": (n_features,),
            "width": (n_features,),
            "coefficients": (n_horizons, n_features),
            "intercept": (n_horizons,),
        }
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise ValueError(f"'{name}' has shape {arrays[name].shape}, not {shape}")
        return cls(*(arrays[name] for name in shapes))

    @classmethod
    def fit(cls, values: Float, labels: Float, penalties: npt.ArrayLike) -> Self:
        """Minimise the mean squared error plus `penalty` times the squared coefficients (Hoerl and Kennard, 1970).

        The intercept is not penalised. What is unknown is taken for the mean.

        Args:
            values: Features, `[E, F]`; NaN where unknown.
            labels: `[E, H]`.
            penalties: One a horizon, `[H]`.
        """
        known = np.isfinite(values)
        count = np.maximum(known.sum(axis=0), 1)
        centre = np.where(known, values, 0.0).sum(axis=0) / count
        deviations = np.where(known, values - centre, 0.0)
        width = np.sqrt((deviations**2).sum(axis=0) / count)
        width = np.where(width > 0, width, 1.0)
        scores, intercept = deviations / width, labels.mean(axis=0)
        gram = scores.T @ scores / len(scores)
        moments = scores.T @ (labels - intercept) / len(scores)
        identity = np.eye(len(gram))
        coefficients = [
            np.linalg.solve(gram + penalty * identity, moments[:, position])
            for position, penalty in enumerate(np.asarray(penalties, dtype=np.float64))
        ]
        return cls(centre, width, np.stack(coefficients), intercept)

    def predict(self, values: Float) -> Float:
        """Return forecasts `[B, H]` of features `[B, F]`."""
        scores = np.nan_to_num((values - self.centre) / self.width, nan=0.0)
        # Products of matrices are added up in an order that depends on the batch; these sums are not.
        return np.stack([(scores * row).sum(axis=1) for row in self.coefficients], axis=1) + self.intercept


class RidgeAnalyst(TabularAnalyst):
    """One linear model a horizon, fitted in closed form.

    The penalty of each horizon is the one with the smallest squared error on the validation part, which no training
    label reaches into; the model is then fitted again on everything.

    Attributes:
        penalties_: The penalties that were chosen, `[H]`.
        model_: The model.
    """

    settings_class = RidgeSettings
    settings: RidgeSettings

    penalties_: Float
    model_: LinearModel

    def _learn(self, examples: Examples) -> tuple[str, ...]:
        values, labels = examples.values, examples.labels
        train, validation = examples.train, examples.validation
        grid = np.sort(np.asarray(self.settings.penalties, dtype=np.float64))[::-1]
        errors = []
        for penalty in grid:
            model = LinearModel.fit(values[train], labels[train], np.full(labels.shape[1], penalty))
            errors.append(np.mean((labels[validation] - model.predict(values[validation])) ** 2, axis=0))
        best = np.argmin(errors, axis=0)  # the largest penalty among equals
        self.penalties_ = grid[best]
        self.spread_ = np.sqrt(np.min(errors, axis=0))
        self.model_ = LinearModel.fit(values, labels, self.penalties_)
        return ()

    def _forecast(self, values: Float, scales: Float) -> Float:
        return self.model_.predict(values) * scales

    def _to_tensors(self) -> Arrays:
        model = vars(self.model_)
        return {"penalties": self.penalties_, **model}

    def _from_tensors(self, arrays: Arrays) -> None:
        self.model_ = LinearModel.from_arrays(arrays, len(self.names_), len(self.horizons))
        self.penalties_ = arrays["penalties"]
        if self.penalties_.shape != (len(self.horizons),):
            raise ValueError(f"'penalties' has shape {self.penalties_.shape}, not {(len(self.horizons),)}")
