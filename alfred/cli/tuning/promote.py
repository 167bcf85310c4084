"""`alfred promote`: let new bests into the registry only where they are credibly better on later sessions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alfred.cli.options import (
    Address,
    AsJson,
    Config,
    ExecutorName,
    Plugins,
    Set,
    one_line_errors,
    print_json,
    read_experiment,
)
from alfred.cli.tuning.options import SEARCHES, read_stamp
from alfred.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alfred.training.search.analysts.promotion import Promotion

_HEADINGS = ("symbol", "stands", "new", "MAE % old", "new", "gain %", "95 % interval", "p", "looks", "price MAE", "")


@one_line_errors
def promote(
    config: Config = None,
    candidates: Annotated[
        Path, typer.Option(help="Folder with new bests, as `alfred tune analysts` writes it.")
    ] = SEARCHES / "analysts" / "best",
    registry: Annotated[Path, typer.Option(help="Folder of the bests that are used.")] = Path("registry"),
    since: Annotated[
        str | None, typer.Option(help="First session of the holdout (YYYY-MM-DD); right after all validation ranges.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Sessions from one forecast to the next.")] = 5,
    apply: Annotated[bool, typer.Option("--apply", help="Write what is better into the registry.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Undo the last writing, and do nothing else.")] = False,
    overrides: Set = None,
    plugins: Plugins = None,
    executor: ExecutorName = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Compare new bests with what stands in the registry, on sessions after all that they were chosen on.

    Both are walked forward over the same holdout. A new best is better when its error is smaller with a one-sided p
    below 5 %, divided by the number of new bests of the symbol that were compared there before. Nothing is written
    without --apply, and what is replaced is kept for --rollback.
    """
    if rollback:
        from alfred.training.search.analysts.history import roll_back

        undone = roll_back(registry)
        if as_json:
            print_json(undone)
        else:
            told = {what: ", ".join(symbols) or "none" for what, symbols in undone.items()}
            typer.echo(f"restored: {told['restored']}; removed: {told['removed']}")
        return
    experiment = read_experiment(config, overrides, plugins, executor, address)
    from alfred.analysts.chosen.entries import read_entries
    from alfred.console import show_progress
    from alfred.data.sources import load_market
    from alfred.training.jobs import count_workers, open_executor
    from alfred.training.search.analysts.history import History, write_entries
    from alfred.training.search.analysts.promotion import compare_bests

    new = read_entries(candidates)
    if not new:
        raise ConfigError(f"--candidates {candidates} holds no best analyst; make some with alfred tune analysts")
    with show_progress() as reporter, open_executor(experiment.training, candidates.parent):
        found, failures = compare_bests(
            load_market(experiment.data),
            new,
            read_entries(registry),
            History(registry),
            since=read_stamp(since),
            every=every,
            refit_every=experiment.forecast.refit_every_days,
            cache=candidates.parent / ".cache",
            n_jobs=count_workers(experiment.training),
            reporter=reporter,
        )
    better = [item for item in found if item.decision == "better"]
    entries = [new[item.symbol].model_copy(update={"holdout": item.new_scores}) for item in better]
    backup = write_entries(registry, entries) if apply else None
    if as_json:
        print_json(
            {
                "promotions": [_to_json(item) for item in found],
                "failures": failures,
                "written": [item.symbol for item in better] if apply else [],
                "backup": None if backup is None else str(backup),
            }
        )
        return
    _print(found, registry, applied=apply)
    for symbol, why in failures.items():
        typer.echo(f"{symbol} was not compared: {why}")


def _print(found: Sequence[Promotion], registry: Path, *, applied: bool) -> None:
    from alfred.console import print_table, results

    rows = [
        (
            item.symbol,
            item.old.label,
            item.new.label,
            f"{item.old_scores.mae_pct:.3f}",
            f"{item.new_scores.mae_pct:.3f}",
            f"{item.gain_pct:+.2f}",
            "" if math.isnan(item.low) else f"{item.low:+.2f} to {item.high:+.2f}",
            f"{item.p:.3f}",
            str(item.n_looks),
            "chooses otherwise" if item.prices_disagree else "agrees",
            item.decision,
        )
        for item in found
    ]
    print_table("New bests against what stands, on later sessions", _HEADINGS, rows)
    better = [item.symbol for item in found if item.decision == "better"]
    by_luck = 0.05 * sum(item.decision != "the same" for item in found)
    note = f"of {len(found)} comparisons about {by_luck:.1f} would pass by luck if no new best were better"
    results.print(note, highlight=False)
    if not better:
        results.print(f"nothing is credibly better; {registry} stays as it is", highlight=False, markup=False)
    elif applied:
        results.print(f"written into {registry}: {', '.join(better)}", highlight=False, markup=False)
    else:
        results.print(f"better: {', '.join(better)}; write them with --apply", highlight=False, markup=False)


def _to_json(item: Promotion) -> dict[str, Any]:
    numbers = {"gain_pct": item.gain_pct, "low": item.low, "high": item.high, "p": item.p}
    return {
        "symbol": item.symbol,
        "old": item.old.model_dump(mode="json"),
        "new": item.new.model_dump(mode="json"),
        "old_scores": item.old_scores.model_dump(mode="json"),
        "new_scores": item.new_scores.model_dump(mode="json"),
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "n_looks": item.n_looks,
        "prices_disagree": item.prices_disagree,
        "decision": item.decision,
    }
