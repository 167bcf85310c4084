"""How fast a network analyst learns, beside the usual loop: `python benchmarks/bench_analysts.py [--json] [--quick]`.

Both sides train the same LSTM with the same loss and optimiser on the same windows of a synthetic market, one torch
thread each, in one process, interleaved; CPU seconds, medians, ratios within a round.

- `usual`: a `Dataset` that cuts and scales one window at a time, and a `DataLoader` that stacks them (batches of 512,
  shuffled, no workers), as most tutorials have it;
- `ours`: `LstmAnalyst.fit`, with its windows made once and kept in tensors; validation and early stopping included.

`epoch` is one pass over 20 symbols x 8,000 days (windows of 33). `walk` is the whole walk-forward of one LSTM over 20
symbols and 20 years with yearly refits, at its default settings, nothing cached (`--quick` leaves it out).
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

from alfred.analysts.lstm import LstmAnalyst, ReturnLstm
from alfred.analysts.settings import LstmSettings
from alfred.config import ForecastSettings
from alfred.data.market import Market
from alfred.learning.settings import FittingSettings
from alfred.training.forecasting import forecast_walk_forward

BATCH = 512
HORIZONS = (1, 5, 20)


class Windows(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """One window at a time."""

    def __init__(self, closes: np.ndarray, length: int) -> None:
        self.closes, self.length = closes, length
        self.places = [
            (row, column) for row in range(length - 1, len(closes) - max(HORIZONS)) for column in range(closes.shape[1])
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        row, column = self.places[place]
        window = self.closes[row - self.length + 1 : row + 1, column]
        returns = 100 * (window[1:] / window[:-1] - 1)
        volatility = max(np.sqrt(np.mean(np.log(window[1:] / window[:-1]) ** 2)), 1e-4)
        ahead = [np.log(self.closes[row + h, column] / window[-1]) / (volatility * np.sqrt(h)) for h in HORIZONS]
        x = np.clip(returns / (100 * volatility), -8, 8)
        return torch.tensor(x, dtype=torch.float32), torch.tensor(np.clip(ahead, -8, 8), dtype=torch.float32)


def make_market(n_symbols: int, n_days: int) -> Market:
    rng = np.random.default_rng(0)
    closes = 100 * np.exp(np.cumsum(rng.normal(2e-4, 0.01, (n_days, n_symbols)), axis=0))
    dates = pd.bdate_range("1990-01-01", periods=n_days)
    return Market.from_arrays(dates, [f"S{i}" for i in range(n_symbols)], closes, benchmark="S0")


def train_usual(market: Market, n_batches: int) -> float:
    """Return CPU seconds a window."""
    torch.manual_seed(0)
    network = ReturnLstm(24, 1, len(HORIZONS))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    loader = DataLoader(Windows(market.close, 33), batch_size=BATCH, shuffle=True)
    begun = time.process_time()
    for number, (x, y) in enumerate(loader):
        if number == n_batches:
            break
        mean, log_spread = network(x)
        loss = (log_spread + 0.5 * ((y - mean) * torch.exp(-log_spread)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return (time.process_time() - begun) / (n_batches * BATCH)


def train_ours(market: Market, n_batches: int) -> tuple[float, float]:
    """Return CPU seconds and wall seconds of a fit."""
    fitting = FittingSettings(steps=n_batches, batch_size=BATCH, learning_rate=3e-3, validate_every=n_batches)
    analyst = LstmAnalyst(LstmSettings(fitting=fitting))
    begun, wall = time.process_time(), time.perf_counter()
    analyst.fit(market)
    return time.process_time() - begun, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no walk: a look, not a measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    market = make_market(20, 8_000)
    per_epoch = 20 * int(0.85 * (8_000 - 33 - max(HORIZONS))) // BATCH
    ours, usual, ratios, walls = [], [], [], []
    for _ in range(3 if options.quick else 5):
        slow = train_usual(market, 10)
        seconds, wall = train_ours(market, per_epoch)
        fast = seconds / (per_epoch * BATCH)
        usual.append(1 / slow)
        ours.append(1 / fast)
        ratios.append(slow / fast)
        walls.append(wall)
    results: dict[str, float] = {
        "windows_per_second": round(statistics.median(ours)),
        "usual_windows_per_second": round(statistics.median(usual)),
        "ratio": round(statistics.median(ratios), 1),
        "epoch_wall_seconds": round(statistics.median(walls), 2),
    }
    if not options.quick:
        years = make_market(20, 20 * 252)
        schedule = ForecastSettings(min_train_days=504, refit_every_days=252, cache=None)
        begun, cpu = time.perf_counter(), time.process_time()
        forecast_walk_forward(years, LstmSettings(), schedule)
        results["walk_wall_seconds"] = round(time.perf_counter() - begun, 1)
        results["walk_cpu_seconds"] = round(time.process_time() - cpu, 1)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
