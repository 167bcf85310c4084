"""The command that says which signals move an agent's weights."""

from __future__ import annotations

from typing import Annotated

import typer

from alfred.cli.options import Agent, AsJson, Plugins, Run, one_line_errors, prepare_process, print_json
from alfred.plugins import load_plugins


@one_line_errors
def explain(
    path: Run,
    plugins: Plugins = None,
    agent: Agent = None,
    drop: Annotated[bool, typer.Option("--drop", help="Also set each signal to zero, as if it were missing.")] = False,
    shifts: Annotated[int, typer.Option(help="Random shifts of each signal.", min=1, max=100)] = 4,
    as_json: AsJson = False,
) -> None:
    """Say which signals move an agent's weights, and whether that was worth anything.

    Each signal is shifted in time within the test, for all symbols together, so that it keeps its memory and loses what
    it says about the day; the trained agent walks the test again. A change of Sharpe ratio whose interval, corrected
    for the number of signals, does not hold zero is called helps or hurts. The page of the run shows the result.
    """
    from alfred.console import print_table, results, show_progress
    from alfred.evaluation.formatting import format_difference, format_interval, format_percent
    from alfred.training import pipeline
    from alfred.training.judging.explain import explain as find_effects
    from alfred.training.judging.explain import save_explanation
    from alfred.training.provenance.stages import read_stage

    prepare_process()
    load_plugins(plugins or ())
    prepared = pipeline.reopen(path)
    trained = pipeline.load_trainings(prepared)
    with show_progress() as reporter:
        found = find_effects(prepared, trained, agent, shifts=shifts, drop=drop, reporter=reporter)
    if read_stage(prepared.run.backtests) is not None:  # the page of a run that was judged shows it
        save_explanation(prepared, found)
        pipeline.rewrite_report(prepared)
    if as_json:
        print_json({"run": str(prepared.run.path), **found.to_json()})
        return
    headings = ["signal", "change of weights", "change of Sharpe", "interval", "verdict"]
    headings += ["weights without it", "Sharpe without it"] if drop else []
    rows = []
    for item in found.signals:
        row = [item.name, format_percent(item.weight_change, 2), format_difference(item.sharpe_change)]
        row += ["" if item.ci is None else format_interval(*item.ci), item.verdict]
        if drop:
            row += [
                format_percent(item.dropped_weight_change or 0.0, 2),
                format_difference(item.dropped_sharpe_change or 0.0),
            ]
        rows.append(row)
    print_table(f"What moves the weights of {found.agent}", headings, rows)
    results.print(found.sentence, highlight=False)
