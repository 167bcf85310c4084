"""The command that says whether the agents of a configuration can learn at all."""

from __future__ import annotations

from typing import Annotated

import typer

from alfred.cli.options import AsJson, Config, Set, one_line_errors, prepare_process, print_json


@one_line_errors
def doctor(
    config: Config = None,
    overrides: Set = None,
    steps: Annotated[int, typer.Option(help="Environment steps of each training at most.", min=1)] = 150_000,
    as_json: AsJson = False,
) -> None:
    """Plant a known signal into your own universe and say what the agents make of it; then shuffle it."""
    from alfred.config import load_experiment
    from alfred.console import results, show_progress
    from alfred.data.sources import load_market
    from alfred.training.doctor import diagnose

    prepare_process()
    experiment = load_experiment(config, overrides or [])
    with show_progress() as reporter:
        found = diagnose(experiment, load_market(experiment.data), max_steps=steps, reporter=reporter)
    if as_json:
        print_json(found.to_json())
        return
    results.print(
        f"planted correlation {found.ic:g}: Sharpe {found.oracle_sharpe:.2f} for someone who knows, "
        f"{found.no_skill_sharpe:.2f} with no skill",
        highlight=False,
    )
    for agent in found.agents:
        results.print(
            f"{agent.name}: Sharpe {agent.planted_sharpe:.2f}, {agent.share:.0%} of what is attainable; shuffled "
            f"{agent.shuffled_sharpe:.2f} ({agent.shuffled_t:+.1f} standard errors)",
            highlight=False,
        )
    results.print(found.verdict, highlight=False)
