"""An analyst of your own in forty lines: a week's losers are expected to come back.

Run it with `.venv/bin/python examples/own_analyst.py`. It keeps the contract, forecasts the embedded stocks
walk-forward, and prints whether its signals had any skill out of sample. Whether it sees the future is told by
`alfred audit --plugin examples/own_analyst.py --set 'analysts=[{kind: reversal}]'`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from alfred.analysts import ANALYSTS, Analyst, AnalystSettings, Forecast
from alfred.analysts.checks import check_analyst
from alfred.analysts.windows import compute_window_returns, compute_window_volatility, scale_by_horizon
from alfred.config import ForecastSettings
from alfred.data import Contexts, DataSettings, Market, load_market
from alfred.evaluation.forecast_metrics import compute_signal_skill
from alfred.training.forecasting import forecast_walk_forward


class ReversalSettings(AnalystSettings):
    """Settings of `ReversalAnalyst`."""

    kind: Literal["reversal"] = "reversal"


class ReversalAnalyst(Analyst):
    """Expects a tenth of the last five sessions' return to be given back."""

    settings_class = ReversalSettings

    def fit(self, market: Market) -> Self:
        self.is_fitted = True
        return self

    def predict(self, contexts: Contexts) -> Forecast:
        self.require_fitted()
        scale = scale_by_horizon(compute_window_volatility(contexts), self.horizons)
        last_week = compute_window_returns(contexts)[:, -5:].sum(axis=1)
        mean = -0.1 * last_week[:, None].repeat(len(self.horizons), axis=1)
        return Forecast.from_gaussian(mean, scale, self.horizons)

    def _save_weights(self, folder: Path) -> None:
        pass

    def _load_weights(self, folder: Path) -> None:
        pass


# Where `kind: reversal` is found, by whoever imports this file: a script, or a command that is given --plugin.
ANALYSTS.register(ReversalAnalyst)

if __name__ == "__main__":
    market = load_market(DataSettings())
    check_analyst(lambda: ReversalAnalyst(ReversalSettings()), market.since("2015-01-01"))
    signals = forecast_walk_forward(market, ReversalSettings(horizons=(1, 5)), ForecastSettings(cache=None))
    skill = compute_signal_skill(signals, market)
    print(skill[["signal", "measure", "value", "low", "high", "p"]].round(4).to_string(index=False))
