"""The command line: each command is one call deep."""

from __future__ import annotations

import socket
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alfred.cli import analysts, config, data, tuning
from alfred.cli.ablate import ablate
from alfred.cli.audit import audit
from alfred.cli.catalogue import runs
from alfred.cli.catalogue.compare import compare
from alfred.cli.doctor import doctor
from alfred.cli.experiments import weekly
from alfred.cli.experiments.quarterly import quarterly
from alfred.cli.explain import explain
from alfred.cli.group import OneLineGroup
from alfred.cli.judge import judge
from alfred.cli.live import paper
from alfred.cli.live.allocate import allocate
from alfred.cli.live.update import update
from alfred.cli.new import new
from alfred.cli.options import (
    Address,
    AsJson,
    Config,
    ExecutorName,
    Fresh,
    Plugins,
    Root,
    Run,
    Set,
    Yes,
    one_line_errors,
    prepare_process,
    print_json,
    read_experiment,
    read_settings,
)
from alfred.cli.serve import serve
from alfred.cli.shells.flags import InstallFor, ShowFor
from alfred.cli.tuning.promote import promote
from alfred.cli.tuning.report import dashboard
from alfred.cli.tuning.sweep import sweep
from alfred.errors import AlfredError, suggest_path
from alfred.plugins import load_plugins
from alfred.version import __version__

if TYPE_CHECKING:  # the heavy rooms are imported by the commands that need them: --help answers at once
    from alfred.config import Experiment
    from alfred.training.judging.finished import Finished

_REFRESH_SECONDS = 10  # until TensorBoard is shown runs that began in the meantime
_TRIAL_HEADINGS = ("time (UTC)", "run", "strategy", "universe", "test", "Sharpe in excess of cash")

app = typer.Typer(
    name="alfred",
    cls=OneLineGroup,
    help="Analysts forecast assets, an agent turns their forecasts into a portfolio, and a report says honestly "
    "whether that beat holding the benchmark.\n\nBegin with `alfred demo`; then write your own configuration and "
    "`alfred run` it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"alfred {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    install_for: InstallFor = None,
    show_for: ShowFor = None,
) -> None:
    """Options of alfred itself."""


@app.command()
@one_line_errors
def demo(
    overrides: Set = None,
    plugins: Plugins = None,
    executor: ExecutorName = None,
    address: Address = None,
    fresh: Fresh = False,
    yes: Yes = False,
    as_json: AsJson = False,
    root: Root = Path("runs"),
) -> None:
    """Run the whole job on the embedded real prices: 20 US stocks, 1990 to 2022."""
    _run(read_settings(None, overrides, plugins, executor, address), root, fresh=fresh, yes=yes, as_json=as_json)


@app.command()
@one_line_errors
def run(
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    executor: ExecutorName = None,
    address: Address = None,
    fresh: Fresh = False,
    yes: Yes = False,
    as_json: AsJson = False,
    root: Root = Path("runs"),
) -> None:
    """Run the whole job: forecast, train, evaluate, report. The same command goes on after an interruption.

    What stands on disk is used again while configuration, data and code are what it was made from; the rest is made
    again, and a line says why.
    """
    _run(read_settings(config, overrides, plugins, executor, address), root, fresh=fresh, yes=yes, as_json=as_json)


@app.command()
@one_line_errors
def forecast(
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    executor: ExecutorName = None,
    address: Address = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
    root: Root = Path("runs"),
) -> None:
    """Only forecast: refit the analysts walk-forward and write their out-of-sample signals."""
    experiment = read_experiment(config, overrides, plugins, executor, address)
    from alfred.console import results, show_progress
    from alfred.training import pipeline

    with show_progress() as reporter:
        prepared = pipeline.forecast(experiment, root, fresh=fresh, reporter=reporter)
    if as_json:
        print_json({"run": str(prepared.run.path), "signals": prepared.signals.names})
    else:
        results.print(f"{len(prepared.signals.names)} signals in {prepared.run.signals}", highlight=False)


@app.command()
@one_line_errors
def train(
    config: Config = None,
    overrides: Set = None,
    plugins: Plugins = None,
    executor: ExecutorName = None,
    address: Address = None,
    fresh: Fresh = False,
    yes: Yes = False,
    as_json: AsJson = False,
    root: Root = Path("runs"),
) -> None:
    """Forecast and train the agents, without judging them. Goes on by itself after an interruption."""
    experiment = read_experiment(config, overrides, plugins, executor, address)
    from alfred.console import results, show_progress
    from alfred.training import pipeline
    from alfred.training.effort.count import require_meant

    with show_progress() as reporter:
        check = partial(require_meant, yes=yes)
        prepared, trained, _ = pipeline.run_all(
            experiment, root, fresh=fresh, judge=False, check=check, reporter=reporter
        )
    if as_json:
        print_json({"run": str(prepared.run.path), "trained": {name: len(items) for name, items in trained.items()}})
    else:
        results.print(f"trained; judge them with: alfred evaluate {prepared.run.path}", highlight=False)


@app.command()
@one_line_errors
def evaluate(path: Run, overrides: Set = None, plugins: Plugins = None, as_json: AsJson = False) -> None:
    """Judge a trained run out of sample against its baselines, and write the report.

    --set takes what needs no new training: data.path, data.options, baselines, intervals, n_trials,
    training.n_jobs, training.executor, training.address.
    """
    from alfred.console import show_progress
    from alfred.training import pipeline
    from alfred.training.judging.finished import summarise

    prepare_process()
    load_plugins(plugins or ())
    prepared = pipeline.reopen(path, overrides or [])
    with show_progress() as reporter:
        rows = pipeline.evaluate(prepared, pipeline.load_trainings(prepared), reporter=reporter)
    _print_finished(summarise(prepared, rows), as_json=as_json)


@app.command()
@one_line_errors
def report(
    path: Run,
    overrides: Set = None,
    plugins: Plugins = None,
    tearsheet: Annotated[
        bool, typer.Option("--tearsheet", help="Also write the page of quantstats (extra 'tearsheet').")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the report of an evaluated run again, from its stored records.

    --set takes what needs no new records: data.path, data.options, intervals, n_trials.
    """
    from alfred.training import pipeline
    from alfred.training.judging.finished import summarise

    load_plugins(plugins or ())
    prepared = pipeline.reopen(path, overrides or [], pipeline.REPORT_KEYS)
    rows = pipeline.rewrite_report(prepared)
    written = pipeline.write_run_tearsheet(prepared) if tearsheet else None
    _print_finished(summarise(prepared, rows), as_json=as_json, tearsheet=written)


@app.command()
@one_line_errors
def trials(
    root: Annotated[Path, typer.Argument(help="The folder of all runs.")] = Path("runs"), as_json: AsJson = False
) -> None:
    """List every strategy that was ever judged in a folder of runs: what a verdict pays for."""
    from alfred.console import print_table, results
    from alfred.evaluation.formatting import format_number
    from alfred.training.provenance.trials import TrialLog

    if not root.is_dir():
        raise AlfredError(
            f"{root} is not a folder; run `alfred demo` first, or name the folder of your runs.{suggest_path(root)}"
        )
    found = TrialLog(root).read()
    if as_json:
        print_json([asdict(trial) for trial in found])
        return
    if not found:
        results.print(f"no trial was made in {root} yet", highlight=False)
        return
    rows = [
        (
            trial.time[:16].replace("T", " "),
            trial.run,
            trial.strategy,
            f"{len(trial.symbols)} against {trial.benchmark}",
            f"{trial.start} to {trial.end}",
            "" if trial.sharpe is None else format_number(trial.sharpe),
        )
        for trial in found
    ]
    print_table(f"Trials ({len({trial.choice for trial in found})} different)", _TRIAL_HEADINGS, rows)


@app.command()
@one_line_errors
def tensorboard(
    folder: Annotated[Path, typer.Argument(help="A run, or the folder of all runs.")] = Path("runs"),
    port: Annotated[int, typer.Option(help="Port to serve on.")] = 6006,
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Show the trainings on each held-out block as well.")
    ] = False,
) -> None:
    """Serve curves, pictures and verdicts under short names, as demo/ppo/f0s0 (docs/tensorboard.md)."""
    from tensorboard import program

    from alfred.training.tensorboard.links import LinkFarm

    if not folder.is_dir():
        raise AlfredError(
            f"{folder} is not a folder; run `alfred demo` first, or name the folder of your runs.{suggest_path(folder)}"
        )
    _require_free_port(port)
    with LinkFarm(folder, inner=blocks) as farm:
        server = program.TensorBoard()
        server.configure(argv=[None, "--logdir", str(farm.place), "--port", str(port)])
        try:
            address = server.launch()
        except program.TensorBoardServerException as error:
            reason = " ".join(str(error).split())
            raise AlfredError(f"cannot serve on port {port} ({reason}); choose another one with --port") from error
        typer.echo(f"TensorBoard at {address} (stop with Ctrl-C)", err=True)
        try:
            while True:
                time.sleep(_REFRESH_SECONDS)
                farm.refresh()
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)


def _run(experiment: Experiment, root: Path, *, fresh: bool, yes: bool, as_json: bool) -> None:
    from alfred.training.judging.finished import digest_inputs, keep_finished, read_finished, summarise

    finished = None if fresh else read_finished(experiment, root)
    if finished is not None:
        typer.echo(f"{finished.run.path} is finished, and nothing that it was made from has changed", err=True)
        _print_finished(finished, as_json=as_json)
        return
    from alfred.console import show_progress
    from alfred.training import pipeline
    from alfred.training.effort.count import require_meant

    prepare_process()
    made_from = digest_inputs(experiment)  # as it is now: the data may change while the run is made
    with show_progress() as reporter:
        check = partial(require_meant, yes=yes)
        prepared, _, rows = pipeline.run_all(experiment, root, fresh=fresh, check=check, reporter=reporter)
    finished = summarise(prepared, rows)
    keep_finished(finished, experiment, made_from)
    _print_finished(finished, as_json=as_json)


def _require_free_port(port: int) -> None:
    """Refuse a port before TensorBoard starts its helpers.

    Raises:
        AlfredError: There is no such port, or it is taken.
    """
    if not 0 < port < 1 << 16:
        raise AlfredError(f"there is no port {port}; choose one from 1 to {(1 << 16) - 1} with --port")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("localhost", port))
        except OSError as error:
            raise AlfredError(
                f"cannot serve on port {port} ({error.strerror}); choose another one with --port"
            ) from error


def _print_finished(finished: Finished, *, as_json: bool, tearsheet: Path | None = None) -> None:
    from alfred.console import print_results, results

    if as_json:
        print_json(
            {
                "run": str(finished.run.path),
                "report": str(finished.run.report),
                "results": [row.to_json() for row in finished.rows],
            }
            | ({} if tearsheet is None else {"tearsheet": str(tearsheet)})
        )
        return
    print_results(finished.rows, finished.benchmark)
    for line in finished.lines:
        results.print(line, highlight=False)
    results.print(f"report: {finished.run.report}", highlight=False)
    results.print(f"curves: alfred tensorboard {finished.run.path}", highlight=False)
    if tearsheet is not None:
        results.print(f"tearsheet: {tearsheet}", highlight=False)


# After the commands above, so that help begins with what a newcomer needs.
app.command()(ablate)
app.command()(allocate)
app.command()(audit)
app.command()(compare)
app.command()(doctor)
app.command()(explain)
app.command()(judge)
app.command()(new)
app.command()(promote)
app.command()(quarterly)
app.command()(serve)
app.command()(sweep)
app.command()(dashboard)
app.command()(update)
app.add_typer(runs.app, name="runs")
app.add_typer(config.app, name="config")
app.add_typer(data.app, name="data")
app.add_typer(analysts.app, name="analysts")
app.add_typer(tuning.app, name="tune")
app.add_typer(weekly.app, name="experiments")
app.add_typer(paper.app, name="paper")


def main() -> None:
    """Run the command line."""
    app()
