"""Naive persistence at 64 sessions, symbol by symbol, with tiny Totos beside it: trained from scratch and fine-tuned.

No released weights are used, so that this runs offline: the checkpoint that is fine-tuned was trained from scratch on
the symbols that are not in the table, and ends on the same day. Everything is trained on prices until 2018 and judged
on the years after, every fifth session; the table is Markdown. It takes some minutes of one core.

    python benchmarks/toto_against_naive.py --market ../shared/market/daily
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from alfred.analysts.baseline import compare_with_naive
from alfred.analysts.improvements import ImprovementTracker
from alfred.analysts.toto.analyst import TotoAnalyst
from alfred.analysts.toto.settings import TotoSettings, TotoSize
from alfred.data.market import Market
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market
from alfred.learning.settings import FittingSettings

HORIZON, UNTIL, SINCE, EVERY_DAYS = 64, "2018-12-31", "2019-01-02", 5
SIZE = TotoSize(patch_size=64, width=48, n_layers=3, n_heads=4, hidden=96, n_components=6)
COMMON: dict[str, Any] = {"horizons": (HORIZON,), "context_length": 512, "size": SIZE}
SCRATCH = FittingSettings(steps=600, batch_size=64, learning_rate=3e-3, schedule="warmup_stable_decay")
TUNING = FittingSettings(
    steps=200, batch_size=64, learning_rate=3e-4, schedule="warmup_stable_decay", validate_every=50
)


def list_runs(checkpoint: Path) -> dict[str, TotoSettings]:
    """Return the configurations that stand in the table, by column."""
    shared: dict[str, Any] = {**COMMON, "knowledge_cutoff": UNTIL, "checkpoint": str(checkpoint), "fitting": TUNING}
    return {
        "1.0 scratch": TotoSettings(**COMMON, fitting=SCRATCH),
        "2.0 scratch": TotoSettings(**COMMON, version="2.0", fitting=SCRATCH),
        "1.0 as it came": TotoSettings(**shared),
        "1.0 fine-tuned": TotoSettings(**shared, fine_tune="full"),
        "1.0 LoRA": TotoSettings(**shared, fine_tune="lora", lora_rank=8, lora_alpha=16),
    }


def load_parts(folder: Path) -> tuple[Market, Market]:
    """Return the market of the table's symbols and that of the others."""
    roles = pd.read_csv(folder / "symbols.csv").set_index("symbol")["role"]
    market = load_market(DataSettings(path=folder))
    wanted = [symbol for symbol in market.symbols if roles.get(symbol) == "requested"]
    others = [symbol for symbol in market.symbols if symbol not in wanted]
    return market.select(wanted), market.select(others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, required=True, help="folder with prices and symbols.csv")
    parser.add_argument("--tracker", type=Path, help="file to record the best configuration of each symbol in")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    market, others = load_parts(arguments.market)
    past = market.until(UNTIL)
    columns: dict[str, pd.Series] = {}
    with tempfile.TemporaryDirectory() as folder:
        TotoAnalyst(TotoSettings(**COMMON, fitting=SCRATCH)).fit(others.until(UNTIL)).save_pretrained(folder)
        for name, settings in list_runs(Path(folder)).items():
            start = time.process_time()
            analyst = TotoAnalyst(settings).fit(past)
            comparison = compare_with_naive(analyst, market, HORIZON, since=SINCE, every_days=EVERY_DAYS)
            logging.info("%s (%.0f CPU seconds): %s", name, time.process_time() - start, comparison.summarise())
            columns["naive"] = comparison.table["naive_mae_pct"]
            columns[name] = comparison.table["mae_pct"]
            if arguments.tracker is not None:
                ImprovementTracker(arguments.tracker).record(name, comparison, settings.model_dump(mode="json"))
    table = pd.DataFrame(columns).sort_values("naive")
    table.loc["mean"] = table.mean()
    print("| symbol | " + " | ".join(table.columns) + " |")
    print("| --- |" + " ---: |" * len(table.columns))
    for symbol, row in table.iterrows():
        print(f"| {symbol} | " + " | ".join(f"{value:.2f}" for value in row) + " |")


if __name__ == "__main__":
    main()
