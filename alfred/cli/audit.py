"""The command that looks for the future in a configuration."""

from __future__ import annotations

import typer

from alfred.cli.options import AsJson, Config, Plugins, Set, one_line_errors, print_json, read_experiment


@one_line_errors
def audit(
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Look for anything in a configuration that sees the future: exit code 0 when clean, 1 when something leaks.

    The configuration runs in fresh processes on its true tables and on tables that are random after a date; whatever is
    computed for that date or earlier must be equal bit for bit. Shuffled signals must have no skill, other batches must
    give the same forecasts, and each reward must belong to its action.
    """
    experiment = read_experiment(config, overrides, plugins)
    from alfred.console import results, show_progress
    from alfred.training.audit.run import audit as look

    with show_progress() as reporter:
        found = look(experiment, plugins or (), reporter=reporter)
    if as_json:
        print_json(found.to_json())
    else:
        for leak in found.leaks:
            where = ", ".join(part for part in (leak.symbol, leak.date) if part)
            results.print(
                f"LEAK ({leak.kind}) in {leak.stage}: {leak.name}{f', first at {where}' if where else ''}", style="red"
            )
        read = f"{len(found.symbols)} symbols, {found.first} to {found.last}"
        when = ", ".join(f"{date} ({name})" for name, date in found.dates.items())
        verdict = "clean" if found.clean else f"{len(found.leaks)} leaks"
        results.print(f"{verdict}: {', '.join(found.stages)}", highlight=False)
        results.print(f"read: {read}; random after {when}", highlight=False)
    if not found.clean:
        raise typer.Exit(1)
