"""What more symbols and more workers cost: signals with one process, with two, and on a Ray cluster of two raylets.

    OMP_NUM_THREADS=1 python benchmarks/scale.py --json
    OMP_NUM_THREADS=1 python benchmarks/scale.py --symbols 10 100 --only signals

Markets are random walks of twenty years with all five fields. `signals` forecasts with two momentum models and two
small networks, each fitted twice and asked every twentieth session: four jobs, nothing cached. `agent` trains one
direct agent for a few steps and walks it through ten years. Each figure comes from a process of its own, and begins
when the market is there and a cluster has been started; the start of workers is part of it. `seconds` are those of the
wall clock, `cpu_seconds` those of driver and workers together, which other work on the machine does not change much.
Memory is the highest resident set of the driver, and the highest sum of proportional shares of all its workers, looked
at once a second; what Ray itself holds (raylets, object store) stands apart.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pandas as pd
from ray_cluster import start_cluster

from alfred.agents.settings import DirectSettings
from alfred.analysts.settings import LstmSettings, MomentumSettings
from alfred.config import ForecastSettings, TrainingSettings
from alfred.data.market import Market
from alfred.data.settings import SplitSettings
from alfred.data.signals import Signals
from alfred.data.splits import make_folds
from alfred.envs.settings import PortfolioSettings
from alfred.learning.settings import FittingSettings
from alfred.training.cross_fitting.folds import train_agent
from alfred.training.forecasting import forecast_all
from alfred.training.jobs import open_executor
from alfred.training.progress import Silence

SESSIONS = 20 * 252
SIZES = (10, 100, 1_000, 5_300)
STEPS = 512
FITTING = FittingSettings(steps=40, batch_size=256, learning_rate=3e-3, validate_every=40)
ANALYSTS = [
    *(MomentumSettings(name=f"momentum{n}", horizons=(1,)) for n in (1, 2)),
    *(LstmSettings(name=f"lstm{n}", horizons=(1,), seed=n, fitting=FITTING) for n in (1, 2)),
]
SCHEDULE = ForecastSettings(min_train_days=1260, refit_every_days=1890, forecast_every_days=20, cache=None)
MODES = {"1 process": ("local", 1), "2 processes": ("local", 2), "Ray, 2 raylets": ("ray", 2)}


def make_market(n_symbols: int, n_days: int = SESSIONS) -> Market:
    rng = np.random.default_rng(0)
    close = 50 * np.exp(np.cumsum(rng.normal(2e-4, 0.02, (n_days, n_symbols)), axis=0))
    opened = close * np.exp(rng.normal(0, 0.005, close.shape))
    high, low = np.maximum(opened, close) * 1.004, np.minimum(opened, close) * 0.996
    volume = rng.uniform(1e3, 1e7, close.shape)
    dates = pd.bdate_range("2004-01-02", periods=n_days)
    names = [f"S{n:05d}" for n in range(n_symbols)]
    return Market.from_arrays(dates, names, close, benchmark=names[0], open=opened, high=high, low=low, volume=volume)


class Memory:
    """Looks at the memory of the workers, MB, while work goes on."""

    def __init__(self, cluster: bool) -> None:
        self.workers = self.ray = self.own = 0.0
        self._spent: dict[int, float] = {}
        self._cluster, self._done = cluster, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def spent(self) -> float:
        """CPU seconds of the workers."""
        return sum(self._spent.values())

    def _watch(self) -> None:
        while not self._done.wait(1.0):
            workers = list_children()
            rest: list[int] = []
            if self._cluster:
                workers, rest = list_ray()
            self._spent |= {pid: read_seconds(pid) or self._spent.get(pid, 0.0) for pid in workers}
            self.own = time.thread_time()
            self.workers = max(self.workers, sum(map(read_share, workers)))
            self.ray = max(self.ray, sum(map(read_share, rest)))


def list_children() -> list[int]:
    return [process.pid for process in multiprocessing.active_children() if process.pid is not None]


def list_ray() -> tuple[list[int], list[int]]:
    """Return the workers that have a task, and all else of Ray; they carry the mark of the cluster."""
    mark = os.environ["ALFRED_SCALE_MARK"].encode()
    workers, rest = list[int](), list[int]()
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (place / "environ").read_bytes():
                title = (place / "cmdline").read_bytes()
                (workers if title.startswith((b"ray::analyst", b"ray::IDLE")) else rest).append(int(place.name))
    return workers, rest


def read_share(process: int) -> float:
    with suppress(OSError):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return 0.0


def read_seconds(process: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def read_peak() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def measure_signals(n_symbols: int, mode: str, address: str | None) -> dict[str, object]:
    executor, n_jobs = MODES[mode]
    training = TrainingSettings.model_validate({"executor": executor, "n_jobs": n_jobs, "address": address})
    market = make_market(n_symbols)
    before = read_peak()
    with tempfile.TemporaryDirectory() as folder, open_executor(training, folder), Memory(executor == "ray") as memory:
        began, spent = time.perf_counter(), time.process_time()
        found = forecast_all(market, ANALYSTS, SCHEDULE, n_jobs=n_jobs, reporter=Silence())
        seconds, spent = time.perf_counter() - began, time.process_time() - spent + memory.spent - memory.own
    total = float(sum(np.nansum(item.values, dtype=np.float64) for item in found))
    memories = {"before": before, "driver": read_peak(), "workers": memory.workers, "ray": memory.ray}
    sizes = {f"{name}_mb": round(value) for name, value in memories.items()}
    return {"seconds": round(seconds, 2), "cpu_seconds": round(spent, 2), **sizes, "sum": total}


def measure_agent(n_symbols: int) -> dict[str, object]:
    market = make_market(n_symbols, SESSIONS // 2)
    rng = np.random.default_rng(1)
    values = rng.normal(size=(market.n_dates, n_symbols, 1)).astype(np.float32)
    stamps = (market.dates - pd.Timedelta(days=1)).to_numpy().astype("datetime64[s]")
    signals = Signals(market.dates, market.symbols, ("planted.mean_1",), values, stamps, (1,))
    fold = make_folds(market.dates, SplitSettings(n_folds=1, validation_days=252, min_train_days=1260), 5)[0]
    settings = DirectSettings(
        total_steps=STEPS, validate_every=STEPS, n_portfolios=16, episode_length=32, validation_blocks=1
    )
    before = read_peak()
    with tempfile.TemporaryDirectory() as folder:
        began, spent = time.perf_counter(), time.process_time()
        train_agent(market, signals, fold, settings, PortfolioSettings(), 0, Path(folder))
        seconds, spent = time.perf_counter() - began, time.process_time() - spent
    sizes = {"before_mb": round(before), "driver_mb": round(read_peak())}
    return {"seconds": round(seconds, 2), "cpu_seconds": round(spent, 2), **sizes}


def run_alone(words: list[str], environment: dict[str, str], limit: float) -> dict[str, object]:
    """Return what one measurement printed; it has a process of its own, whose peak is nobody else's."""
    command = [sys.executable, __file__, *words]
    try:
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done in {limit:.0f} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["killed"])[-1]}
    return dict(json.loads(done.stdout))


def measure_all(sizes: list[int], only: str | None, limit: float) -> dict[str, object]:
    found: dict[str, object] = {"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
    for n_symbols in sizes if only != "agent" else ():
        row: dict[str, dict[str, object]] = {}
        for mode, (executor, _) in MODES.items():
            with ExitStack() as stack:
                words, environment = ["--cell", "signals", "--symbols", str(n_symbols), "--mode", mode], {}
                if executor == "ray":
                    cluster = stack.enter_context(start_cluster(1 << 30))
                    words += ["--address", cluster.address]
                    environment = {**cluster.environment, "ALFRED_SCALE_MARK": cluster.mark}
                row[mode] = run_alone(words, environment, limit)
            print(n_symbols, mode, row[mode], file=sys.stderr, flush=True)
        alone, done = row["1 process"], {name: cell for name, cell in row.items() if "error" not in cell}
        if "error" not in alone:
            for name, cell in done.items():
                for clock, share in (("seconds", MODES[name][1]), ("cpu_seconds", 1)):
                    ratio = float(str(alone[clock])) / float(str(cell[clock])) / share
                    cell[f"efficiency_by_{clock}"] = round(ratio, 2)
                if cell["sum"] != alone["sum"]:
                    raise RuntimeError(f"{name} gives other signals than one process")
        found[f"signals, {n_symbols} symbols"] = row
    for n_symbols in [size for size in sizes if size >= 1_000] if only != "signals" else ():
        cell = run_alone(["--cell", "agent", "--symbols", str(n_symbols)], {}, limit)
        print(n_symbols, "agent", cell, file=sys.stderr, flush=True)
        found[f"agent, {n_symbols} assets"] = cell
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--only", choices=("signals", "agent"))
    parser.add_argument("--limit", type=float, default=3600, help="seconds that one figure may take")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    for hidden in ("--cell", "--mode", "--address"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.cell == "signals":
        print(json.dumps(measure_signals(told.symbols[0], told.mode, told.address)))
    elif told.cell == "agent":
        print(json.dumps(measure_agent(told.symbols[0])))
    else:
        print(json.dumps(measure_all(told.symbols, told.only, told.limit), indent=None if told.json else 2))


if __name__ == "__main__":
    main()
