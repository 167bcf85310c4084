from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest

from alfred.errors import DataError
from alfred.evaluation.breakdown.breakdown import Breakdown, Trade
from alfred.evaluation.breakdown.gain import AssetPart, Gain, Parts
from alfred.evaluation.breakdown.policy_map import PolicyMap
from alfred.evaluation.breakdown.rebooking import Terms
from alfred.evaluation.forecast_metrics import compute_signal_skill
from alfred.evaluation.formatting import (
    format_cell,
    format_interval,
    format_level,
    format_number,
    format_p_value,
    format_percent,
    format_probability,
)
from alfred.evaluation.portfolio_metrics import compute_max_drawdown
from alfred.evaluation.report.numbers import Numbers, compute_numbers
from alfred.evaluation.report.page import FoldScore, MarketFacts, ReportInput, write_report
from alfred.evaluation.report.tearsheet import write_tearsheet
from alfred.evaluation.settings import IntervalSettings
from tests.conftest import make_random_market
from tests.evaluation.conftest import draw_returns, make_backtest
from tests.evaluation.test_forecast_metrics import make_signals

HOSTILE = "<script>alert('x')</script>&\"{{ 7 * 7 }}"


def make_report(n_days: int = 600, **changes: object) -> ReportInput:
    returns = draw_returns(n_days, [0.9, 0.6, 0.7, 0.8, 0.85], 0.8, seed=1)
    names = ("agent", "SPY", "equal weight", "agent seed 0", "agent seed 1")
    records = [make_backtest(series, name) for name, series in zip(names, returns.T, strict=True)]
    market = make_random_market(300, 5)
    signals = make_signals(
        market,
        np.random.default_rng(0).standard_normal((300, 5, 2)),
        ("naive.expected_return_1", "kronos.dispersion_5"),
        knowledge_cutoffs={"kronos": market.dates[150]},
    )
    report = ReportInput(
        title="A small report",
        backtests=records[:3],
        market=replace(MarketFacts.from_market(market), notes=("Only survivors.",)),
        benchmark="SPY",
        equal_weight="equal weight",
        n_trials=12,
        seed_backtests=records[3:],
        skill=compute_signal_skill(signals, market),
        folds=[FoldScore("fold 0", records[0].dates[0], records[0].dates[n_days // 2], 1.7, 1.2)],
        extra_tables={"Costs": pd.DataFrame({"Sharpe": [0.91, 0.5]}, index=["0 bps", "10 bps"])},
        config="agent:\n  kind: ppo\n",
        versions={"numpy": "2.4"},
        seeds=(0, 1),
        intervals=IntervalSettings(n_replicates=200),
    )
    return replace(report, **changes)


class Page(HTMLParser):
    """The visible text of a page and the addresses that it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [
            value or ""
            for name, value in attrs
            if name in ("src", "href", "action", "data") and not (value or "").startswith("#")
        ]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, make_report())
    return folder, (folder / "report.html").read_text(encoding="utf-8")


def test_page_json_and_rows_hold_the_same_numbers(tmp_path: Path) -> None:
    rows = write_report(tmp_path, make_report())
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored == json.loads(json.dumps([row.to_json() for row in rows]))
    body = (tmp_path / "report.html").read_text(encoding="utf-8")
    table = body[body.index("<h2>All strategies</h2>") :]
    for row in rows:
        line = re.search(rf'<th scope="row">{row.name}</th>(.*?)</tr>', table, re.DOTALL)
        assert line is not None
        cells = Page(line.group(1)).text
        for shown in (format_number(row.sharpe), format_percent(row.cagr), format_percent(row.max_drawdown)):
            assert shown in cells
        low, high = row.sharpe_ci
        assert f"{format_number(low)} to {format_number(high)}" in cells


def test_verdicts_trials_and_caveats_stand_in_the_open(written: tuple[Path, str]) -> None:
    text = Page(written[1]).text
    assert "Cannot tell whether agent beats SPY" in text
    assert "Cannot tell whether agent beats equal weight" in text
    assert "Trials made" in text and "after 12 trials" in text
    assert "Only survivors." in text
    assert "2.4 years of test can only show" in text
    assert "After 12 trials (Sharpe ratios spread by 0.4" in text
    assert "that of trials without skill, none being logged" in text
    assert "in excess of cash (0.00% a year here)" in text and "risk-free" not in text
    assert "Probability of backtest overfitting" in text and "comparisons share one table" in text
    before = written[1][: written[1].index("Only survivors.")]
    assert before.count("<details") == before.count("</details>")


def test_logged_trials_stand_beside_the_verdict(tmp_path: Path) -> None:
    report = make_report(trial_sharpes=[0.1, 0.9, 1.6], seed_backtests=(), folds=(), skill=None)
    rows = write_report(tmp_path, report)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "After 12 trials (Sharpe ratios spread by 0.75, as logged)" in text
    assert "spread 0.75 (logged trials)" in text
    assert json.loads((tmp_path / "results.json").read_text())[0]["trials_spread"] == rows[0].trials_spread


def test_a_gain_of_the_universe_is_not_called_a_gain_of_the_strategy(tmp_path: Path) -> None:
    returns = draw_returns(2500, [2.5, 0.0, 2.5], 0.8, seed=2)
    names = ("agent", "SPY", "equal weight")
    records = [make_backtest(series, name) for name, series in zip(names, returns.T, strict=True)]
    write_report(tmp_path, make_report(backtests=records, seed_backtests=(), folds=()))
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "agent beats SPY" in text and "the gain is the universe's" in text


def test_page_loads_nothing(written: tuple[Path, str]) -> None:
    page = Page(written[1])
    assert page.addresses[0] == "data:,"
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses[1:])
    assert "http://" not in written[1] and "https://" not in written[1]
    assert "default-src 'none'" in written[1]
    styles = written[1][written[1].index("<style>") : written[1].index("</style>")]
    assert "url(" not in styles and "@import" not in styles
    assert (written[0] / "report.html").stat().st_size < 1_000_000
    assert sorted(path.name for path in written[0].iterdir()) == ["report.html", "results.json"]


def test_same_input_same_bytes(written: tuple[Path, str], tmp_path: Path) -> None:
    write_report(tmp_path, make_report())
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == written[1]


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    calm = make_report()
    first = make_backtest(calm.backtests[0].net, HOSTILE, symbols=(HOSTILE, "B"))
    hostile = replace(
        calm,
        title=HOSTILE,
        backtests=[first, *calm.backtests[1:]],
        market=replace(calm.market, symbols=(HOSTILE,), notes=(HOSTILE,)),
        caveats=(HOSTILE,),
        config=HOSTILE,
        versions={HOSTILE: HOSTILE},
        extra_tables={HOSTILE: pd.DataFrame({HOSTILE: [HOSTILE]}, index=[HOSTILE])},
        folds=[replace(calm.folds[0], name=HOSTILE)],
        seed_backtests=[replace(calm.seed_backtests[0], name=HOSTILE)],
        skill=calm.skill.assign(signal=HOSTILE) if calm.skill is not None else None,
    )
    for name, report in (("calm", calm), ("hostile", hostile)):
        write_report(tmp_path / name, report)
    pages = {name: (tmp_path / name / "report.html").read_text(encoding="utf-8") for name in ("calm", "hostile")}
    assert "<script>alert" not in pages["hostile"]
    assert "{{ 7 * 7 }}" in pages["hostile"]
    tags = {name: Page(page).tags.count("script") for name, page in pages.items()}
    assert tags["calm"] == tags["hostile"]


def test_the_smallest_report_is_a_page(tmp_path: Path) -> None:
    record = make_backtest([0.01, -0.02, 0.005], "agent")
    alone = ReportInput(
        title="Alone",
        backtests=[record],
        market=MarketFacts.from_market(make_random_market(5, 2)),
        benchmark="agent",
        intervals=IntervalSettings(n_replicates=100),
    )
    write_report(tmp_path, alone)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Equal weight of the same universe was not backtested" in text
    assert "One trial is declared" in text


@pytest.mark.parametrize("net", [[0.01], [0.0, 0.0], [0.5, -1.0, 0.0]])
def test_degenerate_returns_still_make_a_page(net: list[float], tmp_path: Path) -> None:
    records = [make_backtest(net, "agent"), make_backtest([0.001 * (1 + i) for i in range(len(net))], "SPY")]
    report = make_report(backtests=records, equal_weight=None, folds=(), seed_backtests=(), skill=None)
    rows = write_report(tmp_path, report)
    assert rows[0].versus_benchmark.outcome != "beats"
    assert "nan" not in Page((tmp_path / "report.html").read_text(encoding="utf-8")).text.split()


def test_folds_of_another_test_are_refused(tmp_path: Path) -> None:
    fold = FoldScore("fold 7", pd.Timestamp("1999-01-04"), pd.Timestamp("1999-12-31"))
    with pytest.raises(DataError, match=r"fold 'fold 7' is tested from 1999-01-04 to 1999-12-31, but the backtests"):
        write_report(tmp_path, make_report(folds=[fold]))
    assert not list(tmp_path.iterdir())


def test_checksum_follows_the_prices() -> None:
    first, second = make_random_market(30, 3, seed=0), make_random_market(30, 3, seed=1)
    assert MarketFacts.from_market(first).checksum == MarketFacts.from_market(make_random_market(30, 3)).checksum
    assert MarketFacts.from_market(first).checksum != MarketFacts.from_market(second).checksum


def test_numbers_are_written_for_readers() -> None:
    assert format_number(-0.126) == "−0.13"
    assert format_number(0.126, sign=True) == "+0.13"
    assert format_number(-0.001, sign=True) == "0.00"
    assert format_number(float("nan")) == format_number(float("inf")) == "–"
    assert format_interval(-0.0712, -0.0004) == "−0.07 to −0.0004"
    assert format_interval(0.0, 0.5) == "0.00 to +0.50"
    assert format_interval(float("nan"), float("nan")) == "– to –"
    assert format_percent(0.1234) == "12.3%" and format_percent(float("nan")) == "–"
    assert format_percent(float("inf")) == "–" and format_level(0.975) == "97.5%" and format_level(0.99) == "99%"
    assert format_p_value(0.0001) == "p < 0.001" and format_p_value(0.0499) == "p 0.050"
    assert format_probability(0.99996) == "> 0.999" and format_probability(0.5) == "0.500"
    assert format_cell(-0.00012345) == "−0.0001234" and format_cell("x-y") == "x-y" and format_cell(3) == "3"


def test_the_page_says_the_level_that_its_intervals_have_and_names_as_they_are(tmp_path: Path) -> None:
    report = make_report(intervals=IntervalSettings(level=0.975, n_replicates=200), equal_weight="mix of SPY and QQQ")
    renamed = replace(report.backtests[2], name="mix of SPY and QQQ")
    write_report(tmp_path, replace(report, backtests=[*report.backtests[:2], renamed]))
    body = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "97.5 of 100 such intervals hold it" in body and "with 97.5% intervals" in body and "98%" not in body
    assert "Mix of SPY and QQQ spreads the money" in body


def test_a_click_hides_every_name_of_a_long_legend(tmp_path: Path) -> None:
    returns = draw_returns(300, [0.5] * 24, 0.8, seed=1)
    records = [
        make_backtest(series, name)
        for name, series in zip(["agent", "SPY", *map(str, range(22))], returns.T, strict=True)
    ]
    write_report(tmp_path, make_report(300, backtests=records, seed_backtests=(), equal_weight=None))
    body = (tmp_path / "report.html").read_text(encoding="utf-8")
    script = """<script>onload = () => {
      const figure = document.querySelector("figure");
      for (const tick of figure.querySelectorAll("[data-k]")) if (tick.checked) tick.click();
      document.title = [...figure.querySelectorAll("path.curve")].filter((item) => item.getClientRects().length).length;
    };</script></body>"""
    (tmp_path / "report.html").write_text(body.replace("</body>", script), encoding="utf-8")
    result = open_page(tmp_path / "report.html", tmp_path, "--dump-dom")
    assert re.search("<title>(.*?)</title>", result.stdout)[1] == "0"  # type: ignore[index]


def find_browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium or Chrome on PATH; install one to test that the page opens")


def open_page(page: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        find_browser(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'browser'}",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        *more,
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_page_opens_in_a_browser_without_a_message(written: tuple[Path, str], tmp_path: Path) -> None:
    result = open_page(written[0] / "report.html", tmp_path, "--dump-dom")
    assert [line for line in result.stderr.splitlines() if "CONSOLE" in line] == []
    drawn = re.search(r'data-figures="(\d+)"', result.stdout)
    # Wealth and drawdown, rolling Sharpe ratio, volatility and beta, weights, turnover and costs, seeds.
    assert drawn is not None and int(drawn.group(1)) == 9


MEASURE = """
<script>
const frame = document.createElement("iframe");
frame.style = "border:0;height:4000px;width:WIDTHpx";
frame.srcdoc = decodeURIComponent("PAGE");
frame.onload = () => {
  const page = frame.contentDocument, seen = page.documentElement;
  page.querySelectorAll("details").forEach((item) => { item.open = true; });
  const box = page.querySelector("#strategies .scroll");
  box.scrollLeft = 200;
  const [cell, frameLeft] = [page.querySelector("#strategies tbody th"), box.getBoundingClientRect().left];
  const fixed = cell.getBoundingClientRect().left - frameLeft;
  document.title = JSON.stringify({
    overflow: seen.scrollWidth - seen.clientWidth,
    wide: [...page.querySelectorAll(".scroll")].filter((item) => item.scrollWidth > item.clientWidth).length,
    fixed, moved: box.scrollLeft,
    svg: Math.min(...[...page.querySelectorAll(".panel svg")].map((item) => item.getBoundingClientRect().width)),
    hidden: [...page.querySelectorAll(".k2.curve")].filter((item) => item.getClientRects().length).length,
  });
  page.querySelector('figure [data-k="2"]').click();
  const left = [...page.querySelector("figure").querySelectorAll(".k2")].filter((item) => item.getClientRects().length);
  document.title += left.length;
};
document.body.append(frame);
</script>
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_tables_scroll_in_themselves_and_the_page_never(written: tuple[Path, str], tmp_path: Path, width: int) -> None:
    body = MEASURE.replace("WIDTH", str(width)).replace("PAGE", quote(written[1]))
    place = tmp_path / "frame.html"
    place.write_text(f"<!doctype html><meta charset=utf-8><title></title><body>{body}", encoding="utf-8")
    result = open_page(place, tmp_path, "--dump-dom")
    title = re.search("<title>(.*?)</title>", result.stdout)
    assert title is not None and title.group(1)
    found = json.loads(title.group(1).rpartition("}")[0].replace("&amp;", "&") + "}")
    assert found["overflow"] == 0
    assert found["svg"] > width * 0.5 and found["hidden"] > 0
    assert title.group(1).endswith("}0")  # a name that is not ticked is not drawn, in both panels of its figure
    if width == 390:
        assert found["wide"] > 3 and found["moved"] > 100 and abs(found["fixed"]) <= 14


def test_a_name_without_a_blank_does_not_widen_the_page(tmp_path: Path) -> None:
    name = "a_strategy_whose_name_is_long_and_has_no_blank_in_it_at_all"
    report = make_report(300, caveats=[f"{name}: take care"])
    baseline = replace(report.backtests[1], name=name)
    write_report(tmp_path, replace(report, backtests=[*report.backtests, baseline]))
    page = quote((tmp_path / "report.html").read_text(encoding="utf-8"))
    place = tmp_path / "frame.html"
    body = MEASURE.replace("WIDTH", "390").replace("PAGE", page)
    place.write_text(f"<!doctype html><meta charset=utf-8><title></title><body>{body}", encoding="utf-8")
    result = open_page(place, tmp_path, "--dump-dom")
    assert re.search(r'"overflow":(\d+)', result.stdout)[1] == "0"  # type: ignore[index]


def test_no_script_is_needed(written: tuple[Path, str]) -> None:
    body = written[1][written[1].index("<main>") : written[1].index("</main>")]
    drawings = re.findall("<svg[^>]*>", body)
    assert "<script" not in body and len(drawings) == 13
    assert all('role="img"' in drawing and re.search('aria-label="[^"]{8,}"', drawing) for drawing in drawings)
    assert body.count('<details class="legend" open>') == body.count("<figure>") == 10


def make_broken() -> Breakdown:
    parts = [Parts(label, 3.0, 1.5, 1.25, 0.5, -0.25) for label in ("all", "2015")]
    assets = (AssetPart("AAA", 0.02, 1.0, 1.25, 0.75), AssetPart("<BBB>", -0.02, 0.5, 0.0, 2.5))
    gains = tuple(Gain(name, parts[0], (parts[1],), assets) for name in ("SPY", "equal weight"))
    terms = (
        Terms(10.0, 0, True, (0.9, 0.6, 0.7), (0.1, 0.1, 0.1)),
        Terms(10.0, 1, False, (0.5, 0.6, 0.7), (0.08,) * 3),
    )
    policy = PolicyMap((("a.x_1", 0.4),), 50, "a.x_1", "", ((0.01,), (0.0,), (0.0,), (0.0,), (-0.01,)), ((30,),) * 5)
    return Breakdown(
        "agent", ("SPY", "equal weight"), gains, terms, (Trade("2017-04-20", 0.1, (("AAA", 0.1),)),), policy
    )


def test_the_books_stand_on_the_page(tmp_path: Path) -> None:
    write_report(tmp_path, make_report(breakdown=make_broken()))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    text = " ".join(Page(page).text.split())
    assert "equal weight +3.00 +1.50 +1.25 +0.50 −0.25" in text and "&lt;BBB&gt;" in page
    assert "AAA +2.00% +1.00 +1.25 +2.25 +0.75" in text
    assert "10 bps, one session later 0.50 0.60 0.70 −0.10 −0.20 8.0%" in text
    assert "2017-04-20 10.00% AAA +10.00%" in text and "highest fifth −1.00" in text and "lowest fifth +1.00" in text
    missing = replace(make_broken(), gains=(), terms=(), policy=None, missing=("It was traded inside a session.",))
    write_report(tmp_path, make_report(breakdown=missing))
    assert "It was traded inside a session." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_numbers_are_read_again_as_they_were_written() -> None:
    found = compute_numbers(make_report())
    assert repr(Numbers.from_json(json.loads(json.dumps(found.to_json())))) == repr(found)
    with pytest.raises(ValueError, match="no numbers of a page"):
        Numbers.from_json({"rows": 1})


def test_the_page_of_quantstats_asks_nobody_for_anything(tmp_path: Path) -> None:
    pytest.importorskip("quantstats")
    report = make_report(300)
    place = write_tearsheet(tmp_path, report.backtests[0], report.backtests[1], "A tear sheet")
    text = place.read_text(encoding="utf-8")
    assert "A tear sheet" in text and "default-src 'none'" in text and [*tmp_path.iterdir()] == [place]
    loaded = [address for address in Page(text).addresses if not address.startswith(("data:", "#"))]
    assert all("quantstats.io" in address for address in loaded)  # a link to click, and nothing that loads
    assert "favicon" not in text and not re.search(
        r"url\(['\"]?http|@import|<(?:script|img|iframe)[^>]* src=.http", text
    )
    # Its drawdown is ours.
    worst = f"{100 * compute_max_drawdown(report.backtests[0].net):.2f}%"
    assert worst in text.replace("−", "-")
