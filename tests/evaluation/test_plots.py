from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from alfred.evaluation.backtest import Backtest
from alfred.evaluation.portfolio_metrics import compute_max_drawdown, compute_sharpe
from alfred.evaluation.report import images, plots, uncertainty_plots
from alfred.evaluation.report.figure_style import find_point_ends, find_point_starts
from alfred.evaluation.results import compute_results
from alfred.evaluation.settings import IntervalSettings
from tests.evaluation.conftest import draw_returns, make_backtest


@pytest.fixture(scope="module")
def backtests() -> list[Backtest]:
    returns = draw_returns(1500, [0.9, 0.6, 0.7], 0.8, seed=1)
    return [make_backtest(series, name) for name, series in zip(("agent", "SPY", "EW"), returns.T, strict=True)]


def by_name(figure: go.Figure, name: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.name == name]


def test_long_histories_are_thinned_to_weeks_and_keep_the_last_day() -> None:
    dates = pd.bdate_range("2015-01-01", periods=1000)
    ends = find_point_ends(dates)
    assert ends[-1] == 999 and 200 <= len(ends) <= 202
    # Every point but the last and the first covers Monday to Friday.
    assert (dates[ends[:-1]].day_of_week == 4).all()
    assert (dates[find_point_starts(dates)[1:]].day_of_week == 0).all()
    assert len(find_point_ends(dates[:400])) == 400


def test_wealth_keeps_the_worst_drawdown_and_the_final_wealth(backtests: list[Backtest]) -> None:
    figure = plots.plot_wealth(backtests, n_shown=2)
    wealth, drawdown = by_name(figure, "agent")
    assert wealth.y[-1] == pytest.approx(np.prod(1 + backtests[0].net), rel=1e-6)
    assert min(drawdown.y) == pytest.approx(compute_max_drawdown(backtests[0].net), rel=1e-6)
    assert [trace.visible for trace in by_name(figure, "EW")] == ["legendonly"] * 2
    assert len(wealth.y) < 320


def test_ruin_can_be_drawn() -> None:
    ruined = make_backtest([0.1, -1.0, 0.0], "ruined")
    assert min(plots.plot_wealth([ruined]).data[1].y) == -1
    assert images.draw_wealth([ruined]).axes


def test_weights_are_stacked_by_size_with_cash_last() -> None:
    weights = np.tile([0.1, 0.5, 0.05, 0.15, 0.2], (10, 1))
    record = make_backtest(np.zeros(10), weights=weights, symbols=("A", "B", "C", "D"))
    figure = plots.plot_weights(record, n_names=2)
    assert [trace.name for trace in figure.data] == ["B", "D", "2 others", "cash"]
    assert [pytest.approx(trace.y[0]) for trace in figure.data] == [0.5, 0.15, 0.15, 0.2]
    assert all(trace.stackgroup for trace in figure.data)
    short = make_backtest(np.zeros(10), weights=weights * [-1, 1, 1, 1, 2], symbols=("A", "B", "C", "D"))
    assert not any(trace.stackgroup for trace in plots.plot_weights(short).data)


def test_turnover_is_summed_by_month_and_costs_add_up() -> None:
    weights = np.tile([[1.0, 0, 0], [0, 1.0, 0]], (30, 1))
    record = make_backtest(np.zeros(60), costs=np.full(60, 1e-4), weights=weights)
    figure = plots.plot_turnover([record])
    assert sum(figure.data[0].y) == pytest.approx(record.turnover.sum())
    assert figure.data[1].y[-1] == pytest.approx(60e-4)


def test_heat_map_holds_every_month_and_year(backtests: list[Backtest]) -> None:
    heat = plots.plot_return_heatmap(backtests[0]).data[0]
    months = pd.Series(backtests[0].net, index=backtests[0].dates)
    grown = (1 + months["2016-03"]).prod() - 1
    row = list(heat.y).index("2016")
    assert heat.z[row][2] == pytest.approx(grown, abs=1e-5)
    assert heat.z[row][13] == pytest.approx((1 + months["2016"]).prod() - 1, abs=1e-5)
    assert sum(value is not None for line in heat.z for value in line[:12]) == months.index.to_period("M").nunique()


def test_rolling_difference_equals_the_last_window(backtests: list[Backtest]) -> None:
    figure = uncertainty_plots.plot_rolling_sharpe(backtests[0], backtests[1:2])
    upper, lower, middle = figure.data
    last = compute_sharpe(backtests[0].net[-252:]) - compute_sharpe(backtests[1].net[-252:])
    assert middle.y[-1] == pytest.approx(last, rel=1e-5)
    correlation = np.corrcoef(backtests[0].net[-252:], backtests[1].net[-252:])[0, 1]
    assert upper.y[-1] - lower.y[-1] == pytest.approx(2 * 1.96 * np.sqrt(2 * (1 - correlation)), rel=1e-4)


def test_distribution_leaves_out_only_the_tails() -> None:
    values = np.random.default_rng(0).standard_normal(5000)
    figure = uncertainty_plots.plot_sharpe_difference({"SPY": np.append(values, np.nan)})
    assert sum(figure.data[0].y) == pytest.approx(0.998, abs=1e-3)
    assert len(figure.layout.shapes) == 3


def test_gains_show_each_interval_and_skip_itself(backtests: list[Backtest]) -> None:
    rows = compute_results(backtests, benchmark="SPY", equal_weight="EW", intervals=IntervalSettings(n_replicates=200))
    first, second = uncertainty_plots.plot_sharpe_gains(rows).data
    assert list(first.y) == ["agent", "EW"] and list(second.y) == ["agent", "SPY"]
    assert first.x[0] - first.error_x.arrayminus[0] == pytest.approx(rows[0].sharpe_minus_benchmark_ci[0])
    assert first.x[0] + first.error_x.array[0] == pytest.approx(rows[0].sharpe_minus_benchmark_ci[1])


def test_skill_is_drawn_by_kind_of_date_and_without_what_has_no_interval() -> None:
    skill = pd.DataFrame(
        {
            "signal": ["a.x_1", "k.x_1", "k.x_1", "flat.x_1"],
            "period": ["all", "before cutoff", "after cutoff", "all"],
            "value": [0.02, 0.3, 0.01, np.nan],
            "low": [0.01, 0.2, -0.01, np.nan],
            "high": [0.03, 0.4, 0.03, np.nan],
        }
    )
    before, always, after = uncertainty_plots.plot_signal_skill(skill).data
    assert [trace.name for trace in (before, always, after)] == [
        "before cutoff dates",
        "all dates",
        "after cutoff dates",
    ]
    assert list(always.y) == ["a.x_1"] and list(before.x) == [0.3]
    assert after.x[0] - after.error_x.arrayminus[0] == pytest.approx(-0.01)


@pytest.mark.parametrize("growth", [1.05, 2.0, 50.0, 1e6])
def test_every_wealth_axis_has_some_ticks(growth: float) -> None:
    record = make_backtest(np.full(400, growth ** (1 / 400) - 1))
    axis = plots.plot_wealth([record]).layout.yaxis
    assert 1 <= sum(1.0 <= tick <= growth for tick in axis.tickvals) <= 9


def test_seeds_are_thin_and_references_are_named(backtests: list[Backtest]) -> None:
    figure = plots.plot_seed_fan(backtests[:2], backtests[2:])
    assert [trace.showlegend for trace in figure.data] == [False, False, None]


def test_names_are_escaped() -> None:
    record = make_backtest([0.0, 0.1], "<b>x</b>", symbols=("<i>", "B"))
    assert plots.plot_wealth([record]).data[0].name == "&lt;b&gt;x&lt;/b&gt;"
    assert plots.plot_weights(record).data[0].name == "&lt;i&gt;"


def test_pictures_for_tensorboard_are_drawn(backtests: list[Backtest]) -> None:
    for figure in (images.draw_wealth(backtests), images.draw_weights(backtests[0], n_names=1)):
        assert isinstance(figure.canvas, FigureCanvasAgg)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())
        assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 20
    top = images.draw_wealth(backtests).axes[0]
    assert [line.get_label() for line in top.get_lines()] == ["agent", "SPY", "EW"]
    assert top.get_yscale() == "log"
