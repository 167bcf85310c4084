"""The command that says whether the agents of a configuration can learn at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alfred.errors import ConfigError

if TYPE_CHECKING:
    from alfred.config import Experiment

from alfred.cli.options import AsJson, Config, Plugins, Set, one_line_errors, print_json, read_experiment

_MOST_IC = 0.4  # with the memory of the planted signal no higher correlation exists


@one_line_errors
def doctor(
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    ic: Annotated[
        str | None,
        typer.Option(help="Correlations to plant, for instance 0,0.01,0.02,0.05,0.1: how much skill would be enough?"),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="A run whose signals are put on the same axis (with --ic).")] = None,
    seeds: Annotated[int, typer.Option(help="Plantings of each correlation (with --ic).", min=1)] = 3,
    picture: Annotated[Path, typer.Option(help="Where the curve is drawn (with --ic).")] = Path(
        "runs/doctor/skill.png"
    ),
    steps: Annotated[int, typer.Option(help="Environment steps of each training at most.", min=1)] = 150_000,
    as_json: AsJson = False,
) -> None:
    """Plant a known signal into your own universe and say what the agents make of it; then shuffle it.

    With --ic several strengths are planted, and the smallest skill is told at which each agent beats equal weight:
    where the lower end of the 95 % interval of its gain in Sharpe ratio crosses zero, on the curve made monotone. The
    gain is measured on your own test range, whose length limits what can be seen.
    """
    if run is not None and (config is not None or overrides or ic is None):
        raise ConfigError(
            "--run takes configuration and signals of a run, and goes with --ic alone: leave out CONFIG and --set, or "
            "leave out --run"
        )
    experiment = read_experiment(config, overrides, plugins)
    from alfred.console import results, show_progress
    from alfred.data.sources import load_market
    from alfred.training.doctor.diagnose import diagnose

    if ic is not None:
        _draw_curve(experiment, _parse_strengths(ic), run, seeds, steps, picture, as_json=as_json)
        return
    with show_progress() as reporter:
        found = diagnose(experiment, load_market(experiment.data), max_steps=steps, reporter=reporter)
    if as_json:
        print_json(found.to_json())
        return
    results.print(
        f"planted correlation {found.ic:g}: Sharpe {found.oracle_sharpe:.2f} for the oracle, "
        f"{found.no_skill_sharpe:.2f} with no skill",
        highlight=False,
    )
    for agent in found.agents:
        results.print(
            f"{agent.name}: Sharpe {agent.planted_sharpe:.2f}, {agent.share:.0%} ± {agent.share_error:.0%} of what is "
            f"attainable; shuffled {agent.shuffled_sharpe:.2f} ({agent.shuffled_t:+.1f} standard errors)",
            highlight=False,
        )
    results.print(found.verdict, highlight=False)


def _parse_strengths(text: str) -> list[float]:
    """Return the strengths in a list such as `0,0.02,0.1`.

    Raises:
        ConfigError: One is not a number from 0 to 0.4.
    """
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError as error:
        raise ConfigError(
            f"--ic {text}: it must be numbers with commas between them, for instance 0,0.02,0.1"
        ) from error
    if not all(0.0 <= value <= _MOST_IC for value in values):
        raise ConfigError(f"--ic {text}: a planted correlation must lie between 0 and {_MOST_IC}")
    return values


def _draw_curve(
    experiment: Experiment,
    strengths: list[float],
    run: Path | None,
    seeds: int,
    steps: int,
    picture: Path,
    *,
    as_json: bool,
) -> None:
    from alfred.console import print_table, results, show_progress
    from alfred.data.sources import load_market
    from alfred.evaluation.formatting import format_difference, format_interval, format_percent
    from alfred.evaluation.report.skill_plot import save_skill_curve
    from alfred.training import pipeline
    from alfred.training.doctor.skill_curve import draw_curve

    signals = None
    if run is None:
        market = load_market(experiment.data)
    else:
        prepared = pipeline.reopen(run)
        experiment, market, signals = prepared.experiment, prepared.market, prepared.observed.scaled()
    with show_progress() as reporter:
        found = draw_curve(
            experiment, market, strengths, max_steps=steps, n_seeds=seeds, signals=signals, reporter=reporter
        )
    curves: dict[str, list[tuple[float, float, float, float]]] = {}
    for point in found.curve:
        curves.setdefault(point.agent, []).append((point.ic, point.sharpe_minus_equal_weight, *point.ci))
    save_skill_curve(picture, curves, {item.signal: item.ic for item in found.measured})
    if as_json:
        print_json({**found.to_json(), "picture": str(picture)})
        return
    rows = [
        (
            f"{point.ic:g}",
            point.agent,
            "" if point.share is None else format_percent(point.share, 0),
            f"{format_difference(point.sharpe_minus_equal_weight)} [{format_interval(*point.ci, between=', ')}]",
            format_percent(point.kept, 0),
        )
        for point in found.curve
    ]
    headings = ("planted", "agent", "share of attainable", "Sharpe less equal weight", "trainings kept")
    print_table("How much skill would be enough", headings, rows)
    results.print(found.sentence, highlight=False)
    results.print(f"picture: {picture}", highlight=False)
