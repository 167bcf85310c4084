"""How much faster Toto is here than done the plain way, at the real sizes, with random weights.

The plain way is what a straightforward implementation does: one call a series, the context copied for every sample
before it is read, the unembedding and the heads on every patch. It uses the same layers in the same process, so that
the ratio shows what sharing, trimming and batching save and nothing else. Slow sides are timed on a share of the work
and scaled up; the output says on which. Times are CPU seconds of one thread, the best of a few runs.

    python benchmarks/bench_toto.py            # a table
    python benchmarks/bench_toto.py --json     # the same for machines
    python benchmarks/bench_toto.py --only v1-table-2500 --only v2-4m-batch
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from alfred.analysts.toto.config import Toto1Config, Toto2Config
from alfred.analysts.toto.history import forecast_history
from alfred.analysts.toto.scaler import accumulate_moments, compute_scale_v1, compute_scale_v2, split_patches
from alfred.analysts.toto.v1.forecast import Toto1Forecaster
from alfred.analysts.toto.v1.network import Toto1
from alfred.analysts.toto.v2.forecast import Toto2Forecaster
from alfred.analysts.toto.v2.network import Toto2
from alfred.analysts.toto.v2.weights import make_fresh_network_v2

N_SERIES, CONTEXT, HORIZON = 24, 512, 64
N_DAYS, STEPS = 2500, (1, 5, 20)
SEED = 0


@dataclass(frozen=True)
class Row:
    """One job: seconds of the plain way and of ours, and what each was timed on."""

    job: str
    plain_seconds: float
    seconds: float
    goal: float
    plain_timed_on: str
    timed_on: str

    @property
    def ratio(self) -> float:
        return self.plain_seconds / self.seconds


def make_prices(n_series: int, n_days: int) -> np.ndarray:
    """Random walks in the units that the analyst feeds: log price times 100."""
    return np.random.default_rng(SEED).normal(0, 1.2, (n_series, n_days)).cumsum(axis=1).astype(np.float32)


def measure(work: Callable[[], object], repeats: int) -> float:
    """Return the CPU seconds of the fastest run, after one run that is not counted."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


@torch.inference_mode()
def sample_plainly(network: Toto1, series: torch.Tensor, n_samples: int) -> torch.Tensor:
    """Sample the next patch of one series `[1, 1, C]`: 64 copies of it at a time, every patch through the heads."""
    p = network.config.patch_size
    pieces = []
    for n in [64] * (n_samples // 64):
        copies = series.repeat(n, 1, 1)
        moments = accumulate_moments(copies, torch.ones_like(copies, dtype=torch.bool))
        ends = moments.at(slice(p - 1, None, p))
        scale = compute_scale_v1(ends, moments.at(slice(-1, None)), network.config.scale_factor_exponent)
        scaled = (split_patches(copies, p).double() - ends.mean[..., None]) / scale[..., None]
        mixture = network(scaled.flatten(-2).float())
        last = type(mixture)(*(part[:, :, -p:] for part in vars(mixture).values()))
        drawn = last.sample(torch.rand(n, 1, p, 3))
        pieces.append(ends.mean[..., -1:].float() + scale[..., -1:].float() * drawn)
    return torch.cat(pieces)


@torch.inference_mode()
def forecast_plainly(network: Toto2, series: torch.Tensor) -> torch.Tensor:
    """Forecast one series `[1, 1, C]` with one query a patch of the horizon, all of whose outputs are made."""
    p = network.config.patch_size
    n_queries = HORIZON // p
    ends = accumulate_moments(series, torch.ones_like(series, dtype=torch.bool)).at(slice(p - 1, None, p))
    loc, scale = ends.mean[..., None], compute_scale_v2(ends)[..., None]
    context = ((split_patches(series, p).double() - loc) / scale).float()
    patches = torch.cat((context, context.new_zeros(1, 1, n_queries, p)), dim=2)
    observed = torch.ones_like(patches, dtype=torch.bool)
    observed[:, :, -n_queries:] = False
    tokens = network.embed_patches(patches, observed)
    hidden, _ = network.transformer.read(tokens, centre=tokens.shape[-2] // 2)
    deciles = network.read_out(hidden).sinh() * scale[:, :, -1:, :, None].float() + loc[:, :, -1:, :, None].float()
    return deciles[:, :, -n_queries - 1 : -1].flatten(2, 3).sort(dim=-1).values


def bench_samples(forecaster: Toto1Forecaster, n_samples: int, goal: float, repeats: int) -> Row:
    series = torch.from_numpy(make_prices(N_SERIES, CONTEXT))[:, None]
    share = max(1, 256 // n_samples // 2)
    rng = np.random.default_rng(SEED)

    def ours() -> None:
        noise = rng.random((N_SERIES, 1, n_samples, HORIZON, 3), dtype=np.float32)
        forecaster.sample_paths(series, HORIZON, torch.from_numpy(noise))

    def plain() -> None:
        for row in range(share):
            sample_plainly(forecaster.network, series[row : row + 1], n_samples)

    return Row(
        job=f"v1-samples-{n_samples}",
        plain_seconds=measure(plain, 1) * N_SERIES / share,
        seconds=measure(ours, repeats),
        goal=goal,
        plain_timed_on=f"{share} of {N_SERIES} series",
        timed_on="all",
    )


def bench_table(forecaster: Toto1Forecaster, repeats: int) -> Row:
    """A table of forecasts for every day: batches of single windows against one causal pass over every offset."""
    n_assets, n_windows = 1, 192
    prices = make_prices(n_assets, N_DAYS).astype(np.float64)
    seen = np.ones(N_DAYS, dtype=bool)
    windows = torch.from_numpy(make_prices(n_windows, CONTEXT))[:, None]

    def plain() -> None:
        for batch in windows.split(64):
            forecaster.predict_marginals(batch, steps=STEPS).quantiles(forecaster.levels)

    def ours() -> None:
        for series in prices:
            forecast_history(forecaster, series, seen, STEPS, longest=4096)

    return Row(
        job="v1-table-2500",
        plain_seconds=measure(plain, repeats) * N_SERIES * N_DAYS / n_windows,
        seconds=measure(ours, repeats) * N_SERIES / n_assets,
        goal=5,
        plain_timed_on=f"{n_windows} of {N_SERIES * N_DAYS} windows of {CONTEXT} days, 64 a batch",
        timed_on=f"{n_assets} of {N_SERIES} assets",
    )


def bench_batch(repeats: int) -> Row:
    """Toto 2.0 4m on 24 series: one call each, every patch through the head, against one call for all."""
    network = make_fresh_network_v2(Toto2Config(), torch.Generator().manual_seed(SEED))
    forecaster = Toto2Forecaster(network)
    series = torch.from_numpy(make_prices(N_SERIES, CONTEXT))[:, None]

    def plain() -> None:
        for row in series:
            forecast_plainly(network, row[None])

    return Row(
        job="v2-4m-batch",
        plain_seconds=measure(plain, 3 * repeats),
        seconds=measure(lambda: forecaster.predict_deciles(series, HORIZON), 3 * repeats),
        goal=4,
        plain_timed_on="all",
        timed_on="all",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--only", action="append", help="job to run; may be repeated")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the fastest counts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    jobs: dict[str, Callable[[], Row]] = {
        "v1-samples-64": lambda: bench_samples(large(), 64, 80, arguments.repeats),
        "v1-samples-256": lambda: bench_samples(large(), 256, 300, arguments.repeats),
        "v1-table-2500": lambda: bench_table(large(), arguments.repeats),
        "v2-4m-batch": lambda: bench_batch(arguments.repeats),
    }
    built: list[Toto1Forecaster] = []

    def large() -> Toto1Forecaster:
        if not built:
            built.append(Toto1Forecaster(Toto1(Toto1Config())))
        return built[0]

    if unknown := set(arguments.only or ()) - set(jobs):
        parser.error(f"unknown job '{min(unknown)}'; known: {', '.join(jobs)}")
    rows = [make() for name, make in jobs.items() if arguments.only is None or name in arguments.only]
    if arguments.json:
        print(json.dumps([{**asdict(row), "ratio": row.ratio} for row in rows], indent=2))
        return
    for row in rows:
        print(
            f"{row.job:16} plain {row.plain_seconds:9.2f} s ({row.plain_timed_on}), ours {row.seconds:8.3f} s "
            f"({row.timed_on}): {row.ratio:6.1f} times, goal {row.goal:g}"
        )


if __name__ == "__main__":
    main()
