"""Results that a change of structure must not move: trained weights, forecasts, backtests and a whole run.

`python -m tests.golden` records them into `tests/golden.json`; do so only for a change that is meant to move results,
and say in its commit what moved.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd
import torch

from alfred.agents.registry import AGENTS
from alfred.agents.strategies.registry import BASELINES
from alfred.analysts.registry import make_analyst
from alfred.data.contexts import iterate_contexts
from alfred.data.features.catalogue import compute_features
from alfred.data.settings import FeatureSettings
from alfred.envs.gym.vector import PortfolioVectorEnv
from alfred.envs.settings import PortfolioSettings
from alfred.evaluation.backtest import backtest, make_walk
from tests.agents.tasks import make_observation, make_task, make_tiny
from tests.analysts.small import make_small_settings
from tests.conftest import make_random_market
from tests.training.small import DIRECT, make_small, run_small, write_prices

PLACE = Path(__file__).with_name("golden.json")
_AGENTS = ("direct", "ppo", "sac")
_FEATURES = ("momentum_12_1", "momentum_6_1", "momentum_3_1", "momentum_1", "distance_200", "volatility_20")
_ANALYSTS = ("naive", "momentum", "lstm", "toto", "kronos")
_BASELINES: tuple[dict[str, Any], ...] = (
    {"kind": "mix", "hold": True},
    {"kind": "mix"},
    {"kind": "momentum"},
    {"kind": "minimum_variance"},
    {"kind": "olmar"},
)
MANDATES: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "dear": {
        "cost_bps": 30,
        "impact": {"kind": "square_root", "coefficient": 0.5, "capital": 1e6},
        "execution": "next_close",
        "rebalance_every": 3,
    },
    "bound": {
        "constraints": {"max_weight": 0.4, "max_turnover": 0.2},
        "risk": {"stop_loss_pct": 3, "breaker_drawdown_pct": 5},
    },
    "short": {
        "action": {"mode": "long_short", "max_leverage": 2},
        "borrow_rate_pct": 2,
        "margin_rate_pct": 5,
        "reward": {"kind": "differential_sharpe", "drawdown_penalty": 0.5, "turnover_penalty": 0.1},
    },
}


def describe_machine() -> str:
    """Name what the last digits depend on."""
    processor = platform.processor()
    if (cpu := Path("/proc/cpuinfo")).exists():
        # The name alone may be that of several generations, whose libraries add up in different orders.
        lines = dict(line.split(":", 1) for line in cpu.read_text().splitlines() if ":" in line)
        known = {key.strip(): value.strip() for key, value in lines.items()}
        named = [f"{key} {known[key]}" for key in ("cpu family", "model") if key in known]
        processor = " ".join([known.get("model name", ""), *named])
    return f"{processor}, torch {torch.__version__}, numpy {np.__version__}, numba {numba.__version__}"


def compute_golden() -> dict[str, np.ndarray]:
    """Return every result by name."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        found = {**_train_agents(root), **_forecast(), **_trade(), **_run_whole(root)}
    return {name: np.ascontiguousarray(values) for name, values in found.items()}


def digest(values: np.ndarray) -> str:
    """Return a digest of the bytes, the shape and the type."""
    return hashlib.sha256(f"{values.dtype} {values.shape}".encode() + values.tobytes()).hexdigest()[:16]


def summarise(values: np.ndarray) -> list[float]:
    """Return what another processor gives up to rounding: mean, standard deviation and the last value."""
    known = values[np.isfinite(values)].astype(np.float64)
    return [float(known.mean()), float(known.std()), float(known.ravel()[-1])] if known.size else []


def _train_agents(root: Path) -> dict[str, np.ndarray]:
    found = {}
    for kind in _AGENTS:
        policy = AGENTS.load(kind)(make_tiny(kind)).train(make_task(root / kind))
        found[f"agents/{kind}"] = policy.predict(make_observation(10))
    return found


def _forecast() -> dict[str, np.ndarray]:
    market = make_random_market(330, 3, seed=5)
    past = market.until(market.dates[299]).copy()
    found = {}
    for kind in _ANALYSTS:
        settings = make_small_settings(kind)
        analyst = make_analyst(settings).fit(past)
        shape = {"length": analyst.context_length, "fields": analyst.fields, "min_history": analyst.min_history}
        [(_, _, contexts)] = iterate_contexts(market, np.array([310, 320]), batch_size=10**6, **shape)
        forecast = analyst.predict(contexts)
        found[f"analysts/{kind}"] = np.concatenate([forecast.mean.ravel(), forecast.quantiles.ravel()])
    found["features"] = compute_features(market, FeatureSettings(names=_FEATURES)).values
    return found


def _trade() -> dict[str, np.ndarray]:
    market = make_random_market(500, 6, seed=3)
    found = {}
    for name, raw in MANDATES.items():
        settings = PortfolioSettings.model_validate(raw)
        for entry in _BASELINES:
            policy = BASELINES.load(entry["kind"]).model_validate(entry).build(market, ())
            object.__setattr__(policy, "under_mandate", True)
            record = backtest(policy, make_walk(market, None, settings, policy))
            label = "held" if entry.get("hold") else entry["kind"]
            found[f"backtests/{name}/{label}"] = np.column_stack([record.net, record.costs, record.weights])
        env = PortfolioVectorEnv(5, market, None, settings.model_copy(update={"episode_length": 40, "lookback": 3}))
        env.reset(seed=1)
        rng = np.random.default_rng(2)
        steps = [env.step(rng.uniform(-1, 1, (5, market.n_symbols + 1)).astype(np.float32)) for _ in range(120)]
        found[f"steps/{name}"] = np.stack(
            [np.stack([reward, info["cost"], info["wealth"]]) for _, reward, _, _, info in steps]
        )
        found[f"observations/{name}"] = np.concatenate([values.ravel() for values in steps[-1][0].values()])
    return found


def _run_whole(root: Path) -> dict[str, np.ndarray]:
    write_prices(root)
    changes = {
        "baselines": [{"kind": "mix", "hold": True}, {"kind": "momentum"}],
        "forecast": {"min_train_days": 260, "refit_every_days": 100, "cache": None},
    }
    prepared, _, _ = run_small(
        root, make_small(root / "prices.csv", agents=[{**DIRECT, "validation_blocks": 4}], **changes)
    )
    rows = json.loads(prepared.run.results.read_text(encoding="utf-8"))
    figures = pd.json_normalize(rows).select_dtypes("number")
    return {"run/signals": prepared.signals.values, "run/results": figures.to_numpy(np.float64)}


if __name__ == "__main__":
    golden = compute_golden()
    lines = {name: {"digest": digest(values), "summary": summarise(values)} for name, values in golden.items()}
    PLACE.write_text(json.dumps({"machine": describe_machine(), "results": lines}, indent=1) + "\n", encoding="utf-8")
