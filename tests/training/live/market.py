"""Runs whose policies answer to everything that they see, so that a wrong observation is a wrong weight."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from alfred.agents.base import NetworkPolicy
from alfred.agents.recurrent import build_network
from alfred.data.market import Market
from tests.commands import call
from tests.conftest import make_random_market
from tests.training.small import make_small, run_small, write_market

N_FIRST = 560  # sessions of the run; there are 680 in all


def run_cli(*words: object) -> str:
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def make_market() -> Market:
    return make_random_market(680, seed=3)


def make_run(folder: Path, *, judge: bool = False, recurrent: bool = False, **changes: Any) -> Path:
    """A run on the first 560 sessions whose policies are random, so that they answer to what they see."""
    extend(folder, N_FIRST)
    prepared, _, _ = run_small(folder / "runs", make_small(folder / "prices.csv", **changes), judge=False)
    for number, place in enumerate(sorted(prepared.run.path.glob("agents/*/*/*/policy.json"))):
        randomise(place.parent, number, recurrent=recurrent)
    if judge:
        run_cli("evaluate", prepared.run.path)
    return prepared.run.path


def randomise(place: Path, seed: int, *, recurrent: bool = False) -> None:
    """Put a random network in the place of a trained one."""
    policy = NetworkPolicy.load(place)
    spec = replace(policy.network.spec, state_size=8 if recurrent else 0)
    network = build_network(spec)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    facts: dict[str, Any] = {"rebalance_every": policy.rebalance_every, "trained_on": policy.trained_on}
    NetworkPolicy(network, policy.action, name=policy.name, **facts).save(place)


def extend(folder: Path, until: int) -> None:
    """Write the prices up to a number of sessions."""
    market = make_market()
    write_market(folder / "prices.csv", market.until(market.dates[until - 1]))


def copy_run(made: Path, folder: Path) -> Path:
    """A copy of a run and its data."""
    shutil.copytree(made.parents[1], folder, dirs_exist_ok=True)
    config = folder / "runs" / made.name / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(str(made.parents[1]), str(folder)), encoding="utf-8")
    return folder / "runs" / made.name
