"""`alfred tune agents`: search an agent on folds before the test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alfred.cli.options import AsJson, Config, Fresh, Plugins, Set, one_line_errors, print_json, read_experiment
from alfred.cli.tuning.options import (
    SEARCHES,
    Folder,
    Mode,
    Storage,
    Trials,
    Workers,
    check_mode,
    find_folder,
    split_names,
)

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from alfred.training.search.agents.tuning import AgentsTuned

_HEADINGS = ("trial", "agent", "beyond equal weight", "Sharpe", "turnover a year", "max DD %", "kept the start")


@one_line_errors
def agents(
    config: Config = None,
    trials: Trials = 30,
    workers: Workers = None,
    mode: Mode = "tpe",
    kinds: Annotated[
        str | None, typer.Option(help="Agents to search, separated by commas; direct,ppo when left out.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Validation ranges before the test.")] = 4,
    max_turnover: Annotated[float | None, typer.Option(min=0, help="Turnover a year that the best may have.")] = None,
    max_drawdown: Annotated[
        float | None, typer.Option(min=0, max=100, help="Deepest drawdown that the best may have, in per cent.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the search, and of its folder.")] = "agents",
    folder: Folder = SEARCHES,
    root: Annotated[Path, typer.Option("--runs", help="Folder of all runs, with the log of trials.")] = Path("runs"),
    storage: Storage = None,
    overrides: Set = None,
    plugins: Plugins = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Search algorithm, network, reward and selection for the largest Sharpe ratio beyond equal weights.

    The configuration's splits say where the test begins; only what comes before it is searched, on folds of its own
    with the same seeds in every trial. A trial that is credibly worse than the best after some folds ends early. Costs
    are terms of the market, not parameters. The best is written as FOLDER/NAME/best.yaml, for `alfred run`, with the
    number of trials that its verdict has to pay for.
    """
    experiment = read_experiment(config, overrides, plugins)
    from alfred.cli.tuning.board import show_board
    from alfred.console import show_progress
    from alfred.data.sources import load_market
    from alfred.training.jobs import count_cores, open_executor
    from alfred.training.search.agents.objective import Limits
    from alfred.training.search.agents.tuning import AgentRequest, tune_agents
    from alfred.training.search.storage import JOURNAL_FILE

    place = find_folder(folder, name)
    request = AgentRequest(
        name=name,
        kinds=tuple(split_names(kinds, "--kinds")) or None,
        n_trials=trials,
        mode=check_mode(mode),
        n_folds=folds,
        limits=Limits(max_turnover, max_drawdown),
    )
    market = load_market(experiment.data)
    with (
        open_executor(experiment.training, place),
        show_progress() as reporter,
        show_board(trials, "Sharpe ratio beyond equal weights") as watch,
    ):
        found = tune_agents(
            market,
            experiment,
            request,
            place,
            root=root,
            storage=storage or str(place / JOURNAL_FILE),
            n_workers=workers or count_cores(),
            fresh=fresh,
            reporter=reporter,
            watch=watch,
        )
    if as_json:
        print_json(_to_json(found))
        return
    _print(found)


def _describe(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "agent": trial.params["algorithm"],
        "value": trial.values[0],
        **{key: trial.user_attrs.get(key) for key in ("sharpe", "turnover", "max_drawdown_pct", "untrained_share")},
    }


def _to_json(found: AgentsTuned) -> dict[str, Any]:
    return {
        "best": {**_describe(found.best), "params": found.best.params},
        "start": None if found.start is None else _describe(found.start),
        "overfitting_probability": found.overfitting,
        "n_trials": found.n_trials,
        "configuration": str(found.path),
    }


def _print(found: AgentsTuned) -> None:
    from alfred.console import print_table, results
    from alfred.training.search.agents.tuning import find_feasible

    rows = []
    for trial in find_feasible(found.study)[:10]:
        told = _describe(trial)
        rows.append(
            (
                str(told["trial"]),
                str(told["agent"]),
                f"{told['value']:+.3f}",
                "" if told["sharpe"] is None else f"{told['sharpe']:.2f}",
                f"{told['turnover']:.1f}",
                f"{told['max_drawdown_pct']:.1f}",
                f"{told['untrained_share']:.0%}",
            )
        )
    print_table("Trials on the validation folds, the best first", _HEADINGS, rows)
    if found.start is not None:
        gain = found.best.values[0] - found.start.values[0]
        results.print(f"the best is {gain:+.3f} beyond the configuration as it was given", highlight=False)
    if found.best.user_attrs["untrained_share"] == 1:
        results.print("the best did not learn: all its trainings kept their start", style="yellow", highlight=False)
    if found.overfitting is not None:
        results.print(
            f"probability that this choice overfits: {found.overfitting:.0%} (half of the sessions choose, the others "
            "judge)",
            highlight=False,
        )
    results.print(
        f"it is the best of {found.n_trials} trials, so that it flatters; judge it after them: alfred run {found.path}",
        highlight=False,
        markup=False,
    )
