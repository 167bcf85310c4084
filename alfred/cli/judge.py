"""`alfred judge`: returns, wealth or weights of any other tool, with the verdict and the page of our own runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from alfred.cli.options import AsJson, one_line_errors, print_json
from alfred.errors import ConfigError

if TYPE_CHECKING:  # --help answers at once
    from alfred.evaluation.outside.judgement import Reference
    from alfred.evaluation.outside.series import OutsideSeries
    from alfred.evaluation.report.inputs import ReportInput

Kind = Literal["returns", "wealth", "weights"]
# Options that only weights, or only returns and wealth, know what to do with.
_OF_WEIGHTS = {"prices": "--prices", "cost_bps": "--cost-bps", "slippage_bps": "--slippage-bps"}


@one_line_errors
def judge(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: a row a session, with returns, wealth or weights.")],
    benchmark: Annotated[
        str | None,
        typer.Option(help="File of prices, wealth or returns to be judged against; of weights, a symbol of --prices."),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Strategies tried to find this one: the verdict pays.")] = 1,
    kind: Annotated[Kind | None, typer.Option(help="What the file holds; found out when left out.")] = None,
    column: Annotated[str | None, typer.Option(help="Column of returns or wealth; found out when left out.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the strategy; that of the file when left out.")] = None,
    percent: Annotated[bool, typer.Option("--percent", help="Returns are in per cent, not fractions.")] = False,
    cash_rate: Annotated[
        str | None, typer.Option(help="What cash earned: per cent a year, or a CSV of dated rates.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Prices for weights; the embedded US stocks when left out.")
    ] = None,
    cost_bps: Annotated[float | None, typer.Option(min=0.0, help="Commission on weights traded; 5 as in runs.")] = None,
    slippage_bps: Annotated[float | None, typer.Option(min=0.0, help="Half the spread; 5 as in runs.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Zone whose days count, such as America/New_York.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the page; judged/NAME when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a strategy of any other tool as our own are judged: verdict, intervals, deflation by trials, page.

    FILE may come from FinRL, freqtrade, backtesting.py, vectorbt, zipline, quantstats or a spreadsheet. Weights go
    through our ledger at our costs; returns and wealth are taken as they are.
    """
    from alfred.evaluation.outside.kinds import detect_layout
    from alfred.evaluation.outside.series import make_series
    from alfred.evaluation.outside.table import read_outside_table

    _check_zone(time_zone)
    table = read_outside_table(file, time_zone)
    layout = detect_layout(table, kind, column)
    if layout.kind == "weights":
        from alfred.notebook.outside import make_weights_input

        if percent or column is not None:
            raise ConfigError(f"{file} holds {layout.describe()}: --percent and --column are for returns and wealth")
        settings = {"cost_bps": cost_bps, "slippage_bps": slippage_bps, "cash_rate_pct": _read_rate(cash_rate)}
        report, told = make_weights_input(
            table, layout, prices=prices, benchmark=benchmark, settings=settings, name=name, n_trials=trials
        )
    else:
        given = {"prices": prices, "cost_bps": cost_bps, "slippage_bps": slippage_bps}
        if unused := [option for key, option in _OF_WEIGHTS.items() if given[key] is not None]:
            raise ConfigError(
                f"{unused[0]} is for weights, and {file} holds {layout.describe()}, whose costs are in it already; "
                f"leave {unused[0]} out, or say --kind weights"
            )
        series = make_series(table, layout, name=name, percent=percent)
        report, told = _judge_series(series, benchmark, trials, _read_rate(cash_rate), time_zone)
    _tell(report, told, out or Path("judged") / report.backtests[0].slug, as_json=as_json)


def _judge_series(
    series: OutsideSeries, benchmark: str | None, trials: int, rate: float | Path | None, time_zone: str | None
) -> tuple[ReportInput, dict[str, str]]:
    from alfred.evaluation.outside.judgement import make_report_input

    reference = _find_reference(series, benchmark, time_zone)
    report = make_report_input(series, reference, n_trials=trials, cash_rate=rate)
    first = report.backtests[0]
    return report, {
        "strategy": f"{series.layout.describe()} of {series.path}",
        "benchmark": reference.source,
        "sessions": f"{len(first.dates)}, {first.dates[0].date()} to {first.dates[-1].date()}, "
        f"{first.periods_per_year} a year",
    }


def _find_reference(series: OutsideSeries, benchmark: str | None, time_zone: str | None) -> Reference:
    from alfred.evaluation.outside.judgement import make_own_reference, make_reference
    from alfred.evaluation.outside.series import read_series

    if benchmark is not None:
        return make_reference(read_series(benchmark, time_zone=time_zone))
    own = make_own_reference(series)
    if own is not None:
        return own
    from alfred.evaluation.outside.embedded import load_embedded_reference

    return load_embedded_reference(series)


def _read_rate(text: str | None) -> float | Path | None:
    """Read what cash earned.

    Raises:
        ConfigError: It is neither a number in range nor a file.
    """
    if text is None:
        return None
    try:
        rate = float(text)
    except ValueError:
        if not Path(text).is_file():
            raise ConfigError(f"--cash-rate '{text}' is neither per cent a year nor a CSV file of rates") from None
        return Path(text)
    if not -100.0 < rate <= 100.0:
        raise ConfigError(f"--cash-rate {text} must lie between -100 and 100 per cent a year")
    return rate


def _check_zone(zone: str | None) -> None:
    from alfred.data.settings import check_zone

    try:
        check_zone(zone)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _tell(report: ReportInput, told: dict[str, str], out: Path, *, as_json: bool) -> None:
    """Write the page and say what was found."""
    from alfred.evaluation.report.page import write_report

    rows = write_report(out, report)
    page = out / "report.html"
    if as_json:
        notes = [*report.market.notes, *report.caveats]
        found = {"detected": told, "report": str(page), "notes": notes, "results": [row.to_json() for row in rows]}
        print_json(found)
        return
    from alfred.console import print_results, results

    for label, text in told.items():
        results.print(f"{label}: {text}", highlight=False, markup=False)
    print_results(rows, report.benchmark)
    for note in (*report.market.notes, *report.caveats):
        results.print(f"note: {note}", highlight=False, markup=False)
    results.print(f"report: {page}", highlight=False, markup=False)
