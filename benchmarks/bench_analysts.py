"""How fast a network analyst learns, beside the usual loop: `python benchmarks/bench_analysts.py [--json] [--quick]`.

Both sides train the same LSTM with the same loss and optimiser on the same windows of a synthetic market, one torch
thread each, in one process, interleaved; CPU seconds, medians, ratios within a round.

- `usual`: a `Dataset` that cuts one window at a time out of a pandas frame and scales it, and a `DataLoader` that
  stacks them (batches of 512, shuffled, no workers), as most tutorials have it;
- `usual_numpy`: the same on a numpy array, which is as good as a loop by sample gets;
- `ours`: the `fit` of the analyst, its windows made once and kept in tensors; making them and one validation count.

`network_alone` is the same network on one batch that lies ready: no loop can be faster. `mlp` repeats all of it with a
network that costs next to nothing (`kind: extractor, parts: [mlp]`). `epoch` is one pass over 20 symbols x 8,000 days
(windows of 33). `walk` is the whole walk-forward of one LSTM over 20 symbols and 20 years with yearly refits, at its
default settings, nothing cached (`--quick` leaves it out).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from alfred.analysts.extractors.settings import ExtractorSettings
from alfred.analysts.networks.base import NetworkAnalyst
from alfred.analysts.registry import make_analyst
from alfred.analysts.settings import AnalystSettings, LstmSettings
from alfred.config import ForecastSettings
from alfred.data.market import Market
from alfred.learning.settings import FittingSettings
from alfred.training.forecasting import forecast_walk_forward

BATCH = 512
HORIZONS = (1, 5, 20)


class Windows(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """One window at a time, from a frame or an array."""

    def __init__(self, market: Market, length: int, *, use_pandas: bool) -> None:
        closes = market.close
        self.frame = pd.DataFrame(closes, index=market.dates, columns=market.symbols) if use_pandas else None
        self.closes, self.length = closes, length
        self.places = [
            (row, column) for row in range(length - 1, len(closes) - max(HORIZONS)) for column in range(closes.shape[1])
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        row, column = self.places[place]
        if self.frame is not None:
            return self._cut_frame(row, column)
        window = self.closes[row - self.length + 1 : row + 1, column]
        returns = 100 * (window[1:] / window[:-1] - 1)
        volatility = max(np.sqrt(np.mean(np.log(window[1:] / window[:-1]) ** 2)), 1e-4)
        ahead = [np.log(self.closes[row + h, column] / window[-1]) / (volatility * np.sqrt(h)) for h in HORIZONS]
        x = np.clip(returns / (100 * volatility), -8, 8)
        return torch.tensor(x, dtype=torch.float32), torch.tensor(np.clip(ahead, -8, 8), dtype=torch.float32)

    def _cut_frame(self, row: int, column: int) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.frame is not None
        series = self.frame.iloc[:, column]
        window = series.iloc[row - self.length + 1 : row + 1]
        returns = 100 * window.pct_change().dropna()
        volatility = max(float(np.sqrt((np.log(window).diff().dropna() ** 2).mean())), 1e-4)
        ahead = [np.log(series.iloc[row + h] / window.iloc[-1]) / (volatility * np.sqrt(h)) for h in HORIZONS]
        x = (returns / (100 * volatility)).clip(-8, 8)
        return torch.tensor(x.to_numpy(), dtype=torch.float32), torch.tensor(np.clip(ahead, -8, 8), dtype=torch.float32)


def make_market(n_symbols: int, n_days: int) -> Market:
    rng = np.random.default_rng(0)
    closes = 100 * np.exp(np.cumsum(rng.normal(2e-4, 0.01, (n_days, n_symbols)), axis=0))
    dates = pd.bdate_range("1990-01-01", periods=n_days)
    return Market.from_arrays(dates, [f"S{i}" for i in range(n_symbols)], closes, benchmark="S0")


def make_settings(kind: str, fitting: FittingSettings) -> AnalystSettings:
    if kind == "mlp":
        return ExtractorSettings(parts=("mlp",), fitting=fitting, device="cpu")
    return LstmSettings(fitting=fitting, device="cpu")


def train_usual(market: Market, kind: str, n_batches: int, *, use_pandas: bool) -> float:
    """Return CPU seconds a window."""
    analyst = make_analyst(make_settings(kind, FittingSettings()))
    assert isinstance(analyst, NetworkAnalyst)
    torch.manual_seed(0)
    analyst.network_ = network = analyst._build()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    loader = DataLoader(Windows(market, 33, use_pandas=use_pandas), batch_size=BATCH, shuffle=True)
    begun = time.process_time()
    for number, (x, y) in enumerate(loader):
        if number == n_batches:
            break
        step(analyst, optimizer, x.unsqueeze(-1), y)
    return (time.process_time() - begun) / (n_batches * BATCH)


def step(analyst: NetworkAnalyst, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    loss = analyst._compute_loss((x, y))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(analyst.network_.parameters(), 1.0)
    optimizer.step()


def train_alone(kind: str, n_batches: int) -> float:
    """Return CPU seconds a window of the network alone."""
    analyst = make_analyst(make_settings(kind, FittingSettings()))
    assert isinstance(analyst, NetworkAnalyst)
    analyst.network_ = analyst._build()
    optimizer = torch.optim.AdamW(analyst.network_.parameters(), lr=3e-3)
    x, y = torch.randn(BATCH, 32, 1), torch.randn(BATCH, len(HORIZONS))
    step(analyst, optimizer, x, y)
    begun = time.process_time()
    for _ in range(n_batches):
        step(analyst, optimizer, x, y)
    return (time.process_time() - begun) / (n_batches * BATCH)


def train_ours(market: Market, kind: str, n_batches: int) -> tuple[float, float]:
    """Return CPU seconds a window, and wall seconds, of a fit."""
    fitting = FittingSettings(steps=n_batches, batch_size=BATCH, learning_rate=3e-3, validate_every=n_batches)
    analyst = make_analyst(make_settings(kind, fitting))
    begun, wall = time.process_time(), time.perf_counter()
    analyst.fit(market)
    return (time.process_time() - begun) / (n_batches * BATCH), time.perf_counter() - wall


def measure(market: Market, kind: str, rounds: int) -> dict[str, float]:
    per_epoch = 20 * int(0.85 * (len(market.dates) - 33 - max(HORIZONS))) // BATCH
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        ours, wall = train_ours(market, kind, per_epoch)
        sides = {
            "windows_per_second": ours,
            "usual_windows_per_second": train_usual(market, kind, 5, use_pandas=True),
            "usual_numpy_windows_per_second": train_usual(market, kind, 10, use_pandas=False),
            "network_alone_windows_per_second": train_alone(kind, 20),
        }
        for name, seconds in sides.items():
            found.setdefault(name, []).append(1 / seconds)
        found.setdefault("ratio", []).append(sides["usual_windows_per_second"] / ours)
        found.setdefault("ratio_numpy", []).append(sides["usual_numpy_windows_per_second"] / ours)
        found.setdefault("epoch_wall_seconds", []).append(wall)
    return {name: float(f"{statistics.median(values):.3g}") for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no walk: a look, not a measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    market = make_market(20, 8_000)
    rounds = 3 if options.quick else 5
    results: dict[str, dict[str, float]] = {kind: measure(market, kind, rounds) for kind in ("lstm", "mlp")}
    if not options.quick:
        years = make_market(20, 20 * 252)
        schedule = ForecastSettings(min_train_days=504, refit_every_days=252, cache=None)
        begun, cpu = time.perf_counter(), time.process_time()
        forecast_walk_forward(years, LstmSettings(device="cpu"), schedule)
        walk = {"wall_seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - cpu}
        results["walk"] = {name: round(value, 1) for name, value in walk.items()}
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
