"""Figures, read back from what is drawn: the numbers behind a curve are those of the records."""

from __future__ import annotations

import base64
import html
import re
import zlib

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.breakdown.policy_map import PolicyMap
from alfred.evaluation.portfolio_metrics import compute_beta, compute_max_drawdown, compute_sharpe, compute_volatility
from alfred.evaluation.report import images
from alfred.evaluation.report.drawing.figure import Figure
from alfred.evaluation.report.drawing.panel import HEIGHT, WIDTH, Panel
from alfred.evaluation.report.drawing.raster import colour_cells, encode_png, write_colour
from alfred.evaluation.report.drawing.scales import Scale, fit, fit_dates, fit_wealth
from alfred.evaluation.report.drawing.thinning import find_point_ends, find_point_starts
from alfred.evaluation.report.figures import curves, holdings, uncertainty
from alfred.evaluation.report.figures.timeline import Timeline
from alfred.evaluation.report.grids.months import tabulate_months
from alfred.evaluation.report.grids.policy import tabulate_policy
from alfred.evaluation.report.grids.skill import adjust_holm, tabulate_skill
from alfred.evaluation.report.inputs import FoldScore
from alfred.evaluation.report.numbers import make_histogram
from alfred.evaluation.results import compute_results
from alfred.evaluation.settings import IntervalSettings
from tests.evaluation.conftest import draw_returns, make_backtest


@pytest.fixture(scope="module")
def backtests() -> list[Backtest]:
    returns = draw_returns(1500, [0.9, 0.6, 0.7], 0.8, seed=1)
    return [make_backtest(series, name) for name, series in zip(("agent", "SPY", "EW"), returns.T, strict=True)]


def read_curve(panel: Panel, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The x and y values of the curve with a name, from its path and the axes that the page is told."""
    found = next(part for part in panel.parts if f'data-name="{html.escape(name)}"' in part)
    points = np.array([text.split(" ") for text in re.split("[ML]", re.search(r' d="(.*?)"', found)[1]) if text], float)  # type: ignore[index]
    across, down = points[:, 0] / WIDTH, 1 - points[:, 1] / HEIGHT
    y = panel.y
    if y.kind == "log":
        values = np.exp(np.log(y.low) + down * np.log(y.high / y.low))
    else:
        values = y.low + down * (y.high - y.low)
    return panel.x.low + across * (panel.x.high - panel.x.low), values


def test_long_histories_are_thinned_to_weeks_and_keep_the_last_day() -> None:
    dates = pd.bdate_range("2015-01-01", periods=1000)
    ends = find_point_ends(dates)
    assert ends[-1] == 999 and 200 <= len(ends) <= 202
    # Every point but the last and the first covers Monday to Friday.
    assert (dates[ends[:-1]].day_of_week == 4).all()
    assert (dates[find_point_starts(dates)[1:]].day_of_week == 0).all()
    assert len(find_point_ends(dates[:400])) == 400


def test_wealth_keeps_the_worst_drawdown_and_the_final_wealth(backtests: list[Backtest]) -> None:
    figure = curves.plot_wealth(backtests, Timeline.make(backtests[0].dates), n_shown=2)
    top, bottom = figure.panels
    _, wealth = read_curve(top, "agent")
    assert wealth[-1] == pytest.approx(np.prod(1 + backtests[0].net), rel=2e-3) and len(wealth) < 320
    assert read_curve(bottom, "agent")[1].min() == pytest.approx(compute_max_drawdown(backtests[0].net), abs=2e-3)
    assert [(key.name, key.shown) for key in figure.keys] == [("agent", True), ("SPY", True), ("EW", False)]
    assert str(figure.render()).count(" checked") == 2


def test_dates_are_where_they_belong(backtests: list[Backtest]) -> None:
    figure = curves.plot_wealth(backtests, Timeline.make(backtests[0].dates))
    seconds, _ = read_curve(figure.panels[0], "SPY")
    first, last = (pd.Timestamp(value, unit="s") for value in (seconds[0], seconds[-1]))
    assert abs(last - backtests[0].dates[-1]) < pd.Timedelta(days=2)
    assert abs(first - backtests[0].dates[0]) < pd.Timedelta(days=7)


def test_every_time_axis_shows_where_folds_begin(backtests: list[Backtest]) -> None:
    dates = backtests[0].dates
    folds = [FoldScore(f"fold {i}", dates[500 * i], dates[500 * i + 499]) for i in range(3)]
    timeline = Timeline.make(dates, folds)
    figures = [
        curves.plot_wealth(backtests, timeline),
        curves.plot_rolling_sharpe(backtests[0], backtests[1:], timeline),
        curves.plot_rolling_risk(backtests, timeline, backtests[1].excess),
        curves.plot_seed_fan(backtests[:1], backtests[1:], timeline),
        holdings.plot_weights(backtests[0], timeline),
        holdings.plot_active_weights(backtests[0], backtests[2], timeline),
        holdings.plot_turnover(backtests, timeline),
    ]
    share = (dates[500] - dates[0]) / (dates[-1] - dates[0])
    for figure in figures:
        text = str(figure.render())
        assert text.count('class="fold"') == len(figure.panels)
        assert text.count(">fold 1<") == text.count(">fold 2<") == 1 and ">fold 0<" not in text
        assert f"M{WIDTH * share:.0f} 0V1000" in text


def test_ruin_can_be_drawn() -> None:
    ruined = make_backtest([0.1, -1.0, 0.0], "ruined")
    figure = curves.plot_wealth([ruined], Timeline.make(ruined.dates))
    assert read_curve(figure.panels[1], "ruined")[1].min() == pytest.approx(-1, abs=2e-3)
    assert len(read_curve(figure.panels[0], "ruined")[1]) == 1  # nothing has no place on a logarithmic axis
    assert images.draw_wealth([ruined]).axes


def test_weights_are_stacked_by_size_with_cash_last() -> None:
    weights = np.tile([0.1, 0.5, 0.05, 0.15, 0.2], (10, 1))
    record = make_backtest(np.zeros(10), weights=weights, symbols=("A", "B", "C", "D"))
    figure = holdings.plot_weights(record, Timeline.make(record.dates), n_names=2)
    assert [key.name for key in figure.keys] == ["B", "D", "2 others", "cash"]
    areas = [part for part in figure.panels[0].parts if 'class="area' in part]
    # The upper edge of each: half, 0.65, 0.8, everything.
    tops = [1 - float(re.search(r'd="M\d+ (\d+)', part)[1]) / HEIGHT for part in areas]  # type: ignore[index]
    assert tops == pytest.approx([0.5, 0.65, 0.8, 1.0], abs=1e-3)
    short = make_backtest(np.zeros(10), weights=weights * [-1, 1, 1, 1, 2], symbols=("A", "B", "C", "D"))
    drawn = holdings.plot_weights(short, Timeline.make(short.dates)).panels[0].parts
    assert not any('class="area' in part for part in drawn) and len(drawn) == 5


def decode_png(address: str) -> np.ndarray:
    raw = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    width, height = int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
    at = raw.index(b"IDAT")
    data = zlib.decompress(raw[at + 4 : at + 4 + int.from_bytes(raw[at - 4 : at], "big")])
    return np.frombuffer(data, np.uint8).reshape(height, 1 + 4 * width)[:, 1:].reshape(height, width, 4)


def test_pixels_come_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 7, 4), dtype=np.uint8)
    assert (decode_png(encode_png(pixels)) == pixels).all()
    blue, orange, clear, none = colour_cells(np.array([0.2, -0.1, 0.0, np.nan]), 0.1)
    assert blue[2] > blue[0] and orange[0] > orange[2] and clear[3] == none[3] == 0 and blue[3] == orange[3] == 230
    assert write_colour(-1.0, 1.0).startswith("rgba(217,119,6,0.")


def test_active_weights_are_means_of_weeks_against_equal_weight() -> None:
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(4), 1000)
    own = make_backtest(np.zeros(1000), weights=weights, symbols=("A", "B", "C"))
    equal = make_backtest(np.zeros(1000), "EW", weights=np.tile([1, 1, 1, 0], (1000, 1)) / 3, symbols=("A", "B", "C"))
    timeline = Timeline.make(own.dates)
    active = holdings.compute_active_weights(own, equal, timeline)
    weekly = pd.DataFrame(weights[:, :3] - 1 / 3).groupby(own.dates.to_period("W")).mean().to_numpy()
    assert active == pytest.approx(weekly)
    figure = holdings.plot_active_weights(own, equal, timeline)
    pixels = decode_png(re.search(r'href="(.*?)"', "".join(figure.panels[0].parts))[1])  # type: ignore[index]
    order = np.argsort(-active.mean(axis=0))
    assert pixels.shape == (3, len(active), 4) and list(figure.panels[0].names) == ["ABC"[i] for i in order]
    assert ((pixels[..., 2] > 100) == (active[:, order].T >= 0)).all()


def test_turnover_is_summed_by_month_and_costs_add_up() -> None:
    weights = np.tile([[1.0, 0, 0], [0, 1.0, 0]], (30, 1))
    record = make_backtest(np.zeros(60), costs=np.full(60, 1e-4), weights=weights)
    top, bottom = holdings.plot_turnover([record], Timeline.make(record.dates)).panels
    bars = next(part for part in top.parts if "bars" in part)
    heights = np.array(re.findall(r"V(\d+)H", bars), float)
    assert ((1 - heights / HEIGHT) * (top.y.high - top.y.low)).sum() == pytest.approx(record.turnover.sum(), rel=5e-3)
    assert read_curve(bottom, "agent")[1][-1] == pytest.approx(60e-4, rel=3e-3)


def test_months_and_years_are_compounded(backtests: list[Backtest]) -> None:
    grid = tabulate_months(backtests[0])
    months = pd.Series(backtests[0].net, index=backtests[0].dates)
    cells = dict(grid.rows)["2016"]
    assert cells[2].text.replace("−", "-") == f"{100 * ((1 + months['2016-03']).prod() - 1):.1f}"
    assert cells[12].text.replace("−", "-") == f"{100 * ((1 + months['2016']).prod() - 1):.1f}"
    assert sum(bool(cell.text) for _, row in grid.rows for cell in row[:12]) == months.index.to_period("M").nunique()


def test_rolling_difference_equals_the_last_window(backtests: list[Backtest]) -> None:
    figure = curves.plot_rolling_sharpe(backtests[0], backtests[1:2], Timeline.make(backtests[0].dates))
    panel = figure.panels[0]
    _, middle = read_curve(panel, "less SPY")
    last = compute_sharpe(backtests[0].net[-252:]) - compute_sharpe(backtests[1].net[-252:])
    room = (panel.y.high - panel.y.low) / HEIGHT
    assert middle[-1] == pytest.approx(last, abs=room)


def test_rolling_risk_equals_the_last_window(backtests: list[Backtest]) -> None:
    top, bottom = curves.plot_rolling_risk(backtests, Timeline.make(backtests[0].dates), backtests[1].excess).panels
    own, market = backtests[0].net[-252:], backtests[1].net[-252:]
    assert read_curve(top, "agent")[1][-1] == pytest.approx(compute_volatility(own), rel=2e-3)
    assert read_curve(bottom, "agent")[1][-1] == pytest.approx(compute_beta(own, market), rel=2e-3)
    assert read_curve(bottom, "SPY")[1] == pytest.approx(1.0, abs=1e-3)


def test_distribution_leaves_out_only_the_tails() -> None:
    values = np.random.default_rng(0).standard_normal(5000)
    found = make_histogram("SPY", np.append(values, np.nan))
    assert found is not None and sum(found.shares) == pytest.approx(0.998, abs=1e-3)
    assert found.ends == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    assert make_histogram("SPY", np.full(3, np.nan)) is None
    parts = uncertainty.plot_sharpe_difference([found]).panels[0].parts
    assert sum('class="end' in part for part in parts) == 2


def test_gains_show_each_interval_and_skip_itself(backtests: list[Backtest]) -> None:
    rows = compute_results(backtests, benchmark="SPY", equal_weight="EW", intervals=IntervalSettings(n_replicates=200))
    panel = uncertainty.plot_sharpe_gains(rows).panels[0]
    told = re.findall(r"<title>(.*?)</title>", "".join(panel.parts))
    assert sorted(text.split(":")[0] for text in told) == [
        "EW less SPY",
        "SPY less EW",
        "agent less EW",
        "agent less SPY",
    ]
    first = next(part for part in panel.parts if "agent less SPY" in part)
    low, high = (float(text) for text in re.search(r'd="M(\d+) \d+H(\d+)"', first).groups())  # type: ignore[union-attr]
    ends = panel.x.low + np.array([low, high]) / WIDTH * (panel.x.high - panel.x.low)
    assert ends == pytest.approx(rows[0].sharpe_minus_benchmark_ci, abs=2e-3)


SKILL = pd.DataFrame(
    {
        "signal": ["a.x_1", "a.x_5", "k.x_1", "k.x_1", "flat.x_1"],
        "horizon": [1, 5, 1, 1, 1],
        "period": ["all", "all", "before cutoff", "after cutoff", "all"],
        "measure": "with the return",
        "value": [0.02, 0.05, 0.3, 0.01, np.nan],
        "low": [0.01, 0.02, 0.2, -0.01, np.nan],
        "high": [0.03, 0.08, 0.4, 0.03, np.nan],
        "p": [0.02, 0.004, 0.0001, 0.3, np.nan],
    }
)


def test_skill_is_drawn_by_kind_of_date_and_without_what_has_no_interval() -> None:
    figure = uncertainty.plot_signal_skill(SKILL)
    assert [key.name for key in figure.keys] == ["before cutoff dates", "all dates", "after cutoff dates"]
    assert sum("<title>" in part for part in figure.panels[0].parts) == 4


def test_stars_are_what_is_left_after_all_tests() -> None:
    found = tabulate_skill(SKILL)
    lines = dict(found.grid.rows)
    assert list(found.grid.columns) == ["1 session", "5 sessions"]
    assert list(lines) == ["a.x", "k.x (before cutoff)", "k.x (after cutoff)", "flat.x"]
    # Holm: 0.0001 x 4, 0.004 x 3, 0.02 x 2, 0.3 x 1.
    assert [cell.text for cell in lines["a.x"]] == ["+0.020★", "+0.050★"]
    assert lines["k.x (before cutoff)"][0].text == "+0.300★★★" and lines["k.x (after cutoff)"][0].text == "+0.010"
    assert (found.n_tests, found.n_starred) == (4, 3) and lines["flat.x"][0].text == ""
    # A feature has no horizon, and nothing to measure: it gets a row, and no column of its own.
    more = pd.concat([SKILL, SKILL.iloc[:1].assign(signal="feature.z", horizon=0, value=np.nan, p=np.nan)])
    assert tabulate_skill(more).grid.columns == found.grid.columns
    assert [cell.text for cell in dict(tabulate_skill(more).grid.rows)["feature.z"]] == [""] * len(found.grid.columns)
    assert adjust_holm(np.array([0.04, 0.03, np.nan, 0.9])) == pytest.approx([0.09, 0.09, np.nan, 0.9], nan_ok=True)


def test_the_map_of_a_policy_has_its_highest_fifths_on_top_and_right() -> None:
    active = tuple(tuple(0.01 * row + 0.001 * column for column in range(5)) for row in range(5))
    found = PolicyMap((("a", 0.5), ("b", 0.1)), 100, "a", "b", active, ((40,) * 5,) * 5)
    grid = tabulate_policy(found)
    assert [name for name, _ in grid.rows] == ["highest fifth", "4", "3", "2", "lowest fifth"]
    assert grid.rows[0][1][4].text == "+4.40" and grid.rows[4][1][0].text == "0.00"
    assert found.largest == pytest.approx(0.044)


@pytest.mark.parametrize("growth", [1.05, 2.0, 50.0, 1e6])
def test_every_wealth_axis_has_some_ticks(growth: float) -> None:
    ticks = fit_wealth([np.linspace(1.0, growth, 50)]).find_ticks()
    assert 1 <= len(ticks) <= 9
    for tick in ticks:
        low, high = 1.0 / growth**0.04, growth**1.04
        assert float(tick.text) == pytest.approx(low * (high / low) ** tick.place, rel=1e-5)


def test_axes_have_round_ticks() -> None:
    assert [tick.text for tick in Scale(0.0, 0.1, format="percent").find_ticks(5)] == [
        *("0.0%", "2.5%", "5.0%", "7.5%", "10.0%"),
    ]
    assert [tick.text for tick in Scale(0.0, 1.0).find_ticks(5)] == ["0.00", "0.25", "0.50", "0.75", "1.00"]
    assert [tick.text for tick in Scale(0.0, 1.0, format="percent").find_ticks(6)] == [
        "0%",
        "20%",
        "40%",
        "60%",
        "80%",
        "100%",
    ]
    days = pd.DatetimeIndex(["1999-03-01", "2022-12-28"])
    assert [tick.text for tick in fit_dates(days).find_ticks(8)] == ["2000", "2005", "2010", "2015", "2020"]
    short = pd.DatetimeIndex(["2021-01-04", "2021-06-30"])
    assert [tick.text for tick in fit_dates(short).find_ticks(8)] == [f"2021-0{month}" for month in (2, 3, 4, 5, 6)]
    assert fit([[np.nan]]).low < fit([[np.nan]]).high and fit([[3.0, 3.0]]).low < 3.0 < fit([[3.0, 3.0]]).high


def test_a_gap_interrupts_a_curve() -> None:
    panel = Panel(Scale(0, 4), Scale(0, 1), 100)
    panel.add_curve(np.arange(5), [0.5, np.nan, 0.5, 1.0, np.nan], 0, "x")
    assert re.search(r' d="(.*?)"', panel.parts[0])[1] == "M0 500M1000 500L1500 0"  # type: ignore[index]


def test_seeds_are_thin_and_references_are_named(backtests: list[Backtest]) -> None:
    figure = curves.plot_seed_fan(backtests[:2], backtests[2:], Timeline.make(backtests[0].dates))
    parts = figure.panels[0].parts
    assert ["thin" in part for part in parts] == [True, True, False] and ["data-name" in part for part in parts][
        :2
    ] == [False] * 2


def test_names_are_escaped() -> None:
    record = make_backtest([0.0, 0.1], "<b>x</b>", symbols=("<i>", "B"))
    timeline = Timeline.make(record.dates)
    figures: list[Figure] = [curves.plot_wealth([record], timeline), holdings.plot_weights(record, timeline)]
    figures.append(holdings.plot_active_weights(record, make_backtest([0.0, 0.1], "<u>"), timeline))
    for figure in figures:
        text = str(figure.render("<em>"))
        assert not any(tag in text for tag in ("<b>x", "<i>&", "<u>", "<em>")) and "&lt;" in text


def test_pictures_for_tensorboard_are_drawn(backtests: list[Backtest]) -> None:
    for figure in (images.draw_wealth(backtests), images.draw_weights(backtests[0], n_names=1)):
        assert isinstance(figure.canvas, FigureCanvasAgg)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())
        assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 20
    top = images.draw_wealth(backtests).axes[0]
    assert [line.get_label() for line in top.get_lines()] == ["agent", "SPY", "EW"]
    assert top.get_yscale() == "log"
