"""Kronos forecasts: ours against a plain loop of the same network, in the same process.

Sizes are those of the released models, weights are random, context 400, horizon 30, top_p 0.9, one thread. Jobs:

    a  one series, one sample
    b  eight series, ten samples each
    c  one series, five temperatures of two samples each

The plain loop repeats every series for each of its samples and recomputes the whole window at every step. It is timed
on all its rows, on encoding, decoding and a stated share of its 30 steps, spread evenly; those are scaled up. Seconds
are processor seconds of this process, so that other work on the machine does not count; the best of `--repeat` runs of
ours stands against one of the plain loop. Peak memory is what each side adds to the resident memory of a fresh fork.

    python benchmarks/bench_kronos.py                 # a table
    python benchmarks/bench_kronos.py --json          # the same as JSON
    python benchmarks/bench_kronos.py --fit           # instead: training a small pair from scratch, and its forecasts
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alfred.analysts.kronos.analyst import KronosAnalyst
from alfred.analysts.kronos.candles import Candles, compute_stamp_parts, next_business_days
from alfred.analysts.kronos.config import RELEASES, ModelConfig, Precision, TokenizerConfig
from alfred.analysts.kronos.decoding.plain import PlainGenerator
from alfred.analysts.kronos.decoding.sampling import StreamSource, TokenChooser
from alfred.analysts.kronos.forecaster import KronosForecaster
from alfred.analysts.kronos.model import KronosModel
from alfred.analysts.kronos.settings import KronosSettings
from alfred.analysts.kronos.tokenizer import KronosTokenizer
from alfred.data.contexts import iterate_contexts
from alfred.data.settings import DataSettings
from alfred.data.sources import load_market

CONTEXT, HORIZON, TOP_P = 400, 30, 0.9
SIZES = {name.split("-")[1]: release for name, release in RELEASES.items()}
JOBS: dict[str, tuple[int, int, tuple[float, ...]]] = {
    "a": (1, 1, (1.0,)),
    "b": (8, 10, (1.0,)),
    "c": (1, 2, (0.10, 0.13, 0.16, 0.20, 0.25)),
}
PLAIN_STEPS = {"a": 30, "b": 1, "c": 3}
# What issue 6 asks for; None where it asks for nothing.
GOALS = {("small", "a"): 8, ("mini", "b"): 80, ("small", "b"): 140, ("mini", "c"): 50, ("small", "c"): 80}


class Bench:
    """Both sides of one size and job on the same candles."""

    def __init__(self, size: str, job: str, precision: Precision) -> None:
        release = SIZES[size]
        width, n_layers, n_heads, hidden = release.shape
        bits: dict[str, Any] = {"s1_bits": 10, "s2_bits": 10}
        tokenizer = KronosTokenizer(
            TokenizerConfig(
                **bits,
                d_model=256,
                n_heads=4,
                ff_dim=512,
                n_enc_layers=4,
                n_dec_layers=4,
                group_size=release.group_size,
            )
        )
        model = KronosModel(ModelConfig(**bits, d_model=width, n_layers=n_layers, n_heads=n_heads, ff_dim=hidden))
        self.n_series, self.samples, self.temperatures = JOBS[job]
        self.candles = make_candles(self.n_series)
        self.forecaster = KronosForecaster(tokenizer, model, precision=precision)
        self.plain = PlainGenerator(tokenizer, model, self.forecaster.max_context)
        self.n_plain_steps = PLAIN_STEPS[job]
        self.n_rows = self.n_series * self.samples * len(self.temperatures)

    def run_ours(self) -> None:
        self.forecaster.forecast(
            self.candles, HORIZON, samples=self.samples, temperature=self.temperatures, top_p=TOP_P, seed=0
        )

    def time_plain(self) -> float:
        """Return seconds of the whole plain job, its steps scaled up from the share that is taken."""
        repeats = self.n_rows // self.n_series
        future = next_business_days(self.candles.last_times, HORIZON)
        parts = compute_stamp_parts(np.concatenate([self.candles.timestamps, future], axis=1))
        stamps = torch.from_numpy(parts).repeat_interleave(repeats, dim=0)
        scaled = torch.from_numpy(self.candles.normalize()[0]).repeat_interleave(repeats, dim=0)
        temperatures = torch.tensor(self.temperatures * self.n_series).repeat_interleave(self.samples)
        chooser = TokenChooser(temperatures, 0, TOP_P, StreamSource(0, torch.device("cpu")))
        start = time.process_time()
        first, second = (torch.nn.functional.pad(ids, (0, HORIZON)) for ids in self.plain.encode(scaled))
        encoded = time.process_time()
        steps = np.linspace(0, HORIZON - 1, self.n_plain_steps + 2).round().astype(int)[1:-1].tolist()
        steps = list(range(HORIZON)) if self.n_plain_steps == HORIZON else steps
        self.plain.take_steps((first, second), stamps, chooser, n_bars=CONTEXT, steps=steps)
        stepped = time.process_time()
        self.plain.decode((first, second), HORIZON)
        return (encoded - start) + (stepped - encoded) * HORIZON / len(steps) + (time.process_time() - stepped)

    def time_ours(self, repeat: int) -> float:
        self.run_ours()
        seconds = []
        for _ in range(repeat):
            start = time.process_time()
            self.run_ours()
            seconds.append(time.process_time() - start)
        return min(seconds)


def make_candles(n_series: int) -> Candles:
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (n_series, CONTEXT)), axis=1))
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    volume = rng.uniform(1e3, 2e3, close.shape)
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.998
    values = np.stack([opened, high, low, close, volume, volume * close], axis=-1).astype(np.float32)
    days = np.busday_offset(np.datetime64("2020-01-01"), np.arange(CONTEXT)).astype("datetime64[s]")
    return Candles(values, np.tile(days, (n_series, 1)), np.full(n_series, CONTEXT))


def read_memory(field: str) -> float:
    """Return a line of the memory status of this process in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def measure_peak(work: Callable[[], object]) -> float | None:
    """Return how far the resident memory of a fork rises while it works, in MiB, or None off Linux."""
    if not sys.platform.startswith("linux"):
        return None
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        # What the libraries allocate at their first use belongs to neither side; and memory that was freed before
        # goes back to the system, or it would be used again unseen.
        warm_up()
        ctypes.CDLL(None).malloc_trim(0)
        before = read_memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        work()
        sender.send(read_memory("VmHWM") - before)

    process = context.Process(target=child)
    process.start()
    peak: float = receiver.recv()
    process.join()
    return round(peak, 1)


def warm_up() -> None:
    x = torch.randn(1, 4, 512, 512)
    torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)
    torch.nn.functional.linear(x, x[0, 0]).softmax(-1)


def measure(size: str, job: str, args: argparse.Namespace) -> dict[str, object]:
    bench = Bench(size, job, args.precision)
    steps = bench.n_plain_steps
    peaks: dict[str, object] = {}
    if args.memory:
        bench.n_plain_steps = 1
        peaks = {"plain_peak_mib": measure_peak(bench.time_plain), "ours_peak_mib": measure_peak(bench.run_ours)}
        bench.n_plain_steps = steps
    ours = bench.time_ours(args.repeat)
    plain = bench.time_plain()
    return {
        "size": size,
        "job": job,
        "plain_seconds": round(plain, 3),
        "ours_seconds": round(ours, 4),
        "ratio": round(plain / ours, 1),
        "goal": GOALS.get((size, job)),
        "plain_steps_timed": f"{steps} of {HORIZON}",
    } | peaks


def measure_fit() -> dict[str, object]:
    """Train a pair with the default sizes on the embedded market, then forecast 1,024 windows with four samples."""
    market = load_market(DataSettings())
    analyst = KronosAnalyst(KronosSettings(samples=4))
    start = time.process_time()
    analyst.fit(market)
    fitted = time.process_time()
    rows = np.arange(market.n_dates - 49, market.n_dates)
    _, _, contexts = next(
        iterate_contexts(market, rows, length=analyst.context_length, fields=analyst.fields, batch_size=1024)
    )
    analyst.predict(contexts)
    return {
        "symbols": market.n_symbols,
        "sessions": market.n_dates,
        "fit_seconds": round(fitted - start, 1),
        "windows": len(contexts),
        "predict_seconds": round(time.process_time() - fitted, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--sizes", nargs="+", default=["mini", "small"], choices=sorted(SIZES))
    parser.add_argument("--jobs", nargs="+", default=sorted(JOBS), choices=sorted(JOBS))
    parser.add_argument("--repeat", type=int, default=3, help="runs of ours, the best of which counts")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16", "int8"], help="of our model")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="leave the peak memory out")
    parser.add_argument("--fit", action="store_true", help="time training from scratch instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.fit:
        print(json.dumps(measure_fit(), indent=2))
        return
    results = [measure(size, job, args) for size in args.sizes for job in args.jobs]
    if args.json:
        setting = {"context": CONTEXT, "horizon": HORIZON, "threads": 1, "torch": torch.__version__}
        print(json.dumps({"setting": setting, "precision": args.precision, "results": results}, indent=2))
        return
    for row in results:
        print("  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
