"""What the terminal shows, on wide screens and narrow ones."""

from __future__ import annotations

import pytest

from alfred import console

NAMES = ["ppo", "SPY", "60/40 benchmark and cash", "hierarchical risk parity of twenty stocks, held"]
HEADINGS = ("strategy", "Sharpe", "CAGR", "max DD", "turns/y", "Sharpe − SPY")
ROWS = [(name, "0.65 [0.31, 1.02]", "10.2 %", "-33.1 %", "1.5", "+0.12 [-0.20, +0.44]") for name in NAMES]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_a_table_keeps_names_and_figures_readable(monkeypatch, capsys, width) -> None:
    monkeypatch.setattr(console.results, "_width", width)
    console.print_table("Out of sample [net]", HEADINGS, ROWS, first_bold=True)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert text.count("+0.12 [-0.20, +0.44]") == text.count("0.65 [0.31, 1.02]") == len(ROWS)
    for name in ("ppo", "SPY", "60/40 benchmark and cash"):  # each whole on one line
        assert any(line.lstrip().startswith(name) for line in lines), name
    assert "hierarchical risk parity" in text
    if width >= 140:
        assert any(line.lstrip().startswith(NAMES[3]) and line.rstrip().endswith("+0.44]") for line in lines)
    if width <= 60:
        assert "Sharpe − SPY  +0.12" in text


def test_a_title_is_as_wide_as_it_is(monkeypatch, capsys) -> None:
    monkeypatch.setattr(console.results, "_width", 80)
    console.print_table("small: direct, close of 2022-12-28", ("symbol", "held"), [("AAPL", "5.00%")])
    assert capsys.readouterr().out.splitlines()[0] == "small: direct, close of 2022-12-28"


def test_a_table_without_rows_or_figures_is_printed(capsys) -> None:
    console.print_table("Nothing", ("name", "value"), [])
    console.print_table("Alone", ("name",), [("x",)])
    assert "Nothing" in capsys.readouterr().out


def test_sentences_are_folded_and_figures_are_not(monkeypatch, capsys) -> None:
    monkeypatch.setattr(console.results, "_width", 70)
    asks = "Does a longer memory of prices help to choose among stocks that moved alike?"
    console.print_table("Experiments", ("name", "turns a year and a half", "asks"), [("longer", "1.5", asks)])
    text = capsys.readouterr().out
    assert "…" not in text
    assert set(asks.split()) <= set(text.split())
    assert max(map(len, text.splitlines())) <= 70


def test_brackets_in_texts_are_no_markup(monkeypatch, capsys) -> None:
    monkeypatch.setattr(console.results, "_width", 100)
    console.results.print("report: runs[b]/small[/x]/report.html", highlight=False)
    console.results.print("S[/0] fell", style="red")
    console.print_table("Symbols [all]", ("symbol", "value"), [("S[/0]", "1")])
    monkeypatch.setattr(console.results, "_width", 20)
    console.print_table("Symbols [all]", ("symbol", "value"), [("S[/0] of a long name", "1" * 30)])
    console.LineReporter().say("S[/0]: a note")
    told = capsys.readouterr()
    assert "runs[b]/small[/x]/report.html" in told.out and "S[/0] fell" in told.out
    assert told.out.count("Symbols [all]") == 2 and "\\" not in told.out and "S[/0] of a long" in told.out
    assert "S[/0]: a note" in told.err
