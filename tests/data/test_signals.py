import numpy as np
import pandas as pd
import pytest

from alfred.data import Signals, concatenate_signals
from alfred.data.signals import SignalSpec
from alfred.errors import SignalError

DATES = pd.bdate_range("2020-01-01", periods=6)


def make(name="a", dates=DATES, lag_days=1, seed=0, **changes):
    values = np.random.default_rng(seed).normal(size=(len(dates), 2, 2)).astype(np.float32)
    arguments = {
        "dates": dates,
        "symbols": ("X", "Y"),
        "names": (f"{name}.up_1", f"{name}.up_5"),
        "values": values,
        "trained_until": (dates - pd.Timedelta(days=lag_days)).to_numpy(),
        "horizons": (1, 5),
    }
    return Signals(**(arguments | changes))


def test_a_row_from_the_future_is_refused() -> None:
    with pytest.raises(SignalError, match=r"signals of 2020-01-01 come from a model trained until 2020-01-02"):
        make(lag_days=-1)
    late = (DATES - pd.Timedelta(days=1)).to_numpy().copy()
    late[3] = DATES[4].to_numpy()
    with pytest.raises(SignalError, match="signals of 2020-01-06"):
        make(trained_until=late)
    late = np.stack([(DATES - pd.Timedelta(days=1)).to_numpy()] * 2, axis=1)
    late[3, 1] = DATES[4].to_numpy()
    with pytest.raises(SignalError, match=r"'a\.up_5': the signals of 2020-01-06 come from a model trained until 2020"):
        make(trained_until=late)


def test_a_row_of_no_model_is_refused() -> None:
    stamps = np.stack([(DATES - pd.Timedelta(days=1)).to_numpy()] * 2, axis=1)
    stamps[3, 1] = np.datetime64("NaT")
    with pytest.raises(SignalError, match=r"'a\.up_5': trained_until is missing for 2020-01-06; give the last date"):
        make(trained_until=stamps)
    with pytest.raises(SignalError, match=r"'a\.up_1': trained_until is missing for 2020-01-06"):
        make(trained_until=stamps[:, 1])


def test_round_trip(tmp_path) -> None:
    signals = make(knowledge_cutoffs={"a": pd.Timestamp("2019-06-30")}, notes=("Read with care.",))
    signals.values[2, 1, 0] = np.nan
    signals.save(tmp_path / "s.parquet")
    again = Signals.load(tmp_path / "s.parquet")
    np.testing.assert_array_equal(again.values, signals.values)
    np.testing.assert_array_equal(again.trained_until, signals.trained_until)
    assert (again.names, again.horizons, again.symbols) == (signals.names, signals.horizons, signals.symbols)
    assert again.knowledge_cutoffs == signals.knowledge_cutoffs
    assert again.notes == signals.notes
    assert list(again.dates) == list(signals.dates)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.json", "s.parquet"]


def test_damaged_files_are_named(tmp_path) -> None:
    make().save(tmp_path / "s.parquet")
    (tmp_path / "s.parquet").write_bytes(b"half a file")
    with pytest.raises(SignalError, match=r"s\.parquet does not hold signals"):
        Signals.load(tmp_path / "s.parquet")
    with pytest.raises(SignalError, match="does not hold signals"):
        Signals.load(tmp_path / "nothing.parquet")
    make().save(tmp_path / "t.parquet")
    description = tmp_path / "t.json"
    description.write_text(description.read_text().replace('"knowledge_cutoffs": {}', '"knowledge_cutoffs": []'))
    with pytest.raises(SignalError, match="does not hold signals"):
        Signals.load(tmp_path / "t.parquet")


def test_a_tampered_stamp_is_refused_on_loading(tmp_path) -> None:
    make().save(tmp_path / "s.parquet")
    table = pd.read_parquet(tmp_path / "s.parquet")
    table["trained_until"] += pd.Timedelta(days=30)
    table.to_parquet(tmp_path / "s.parquet", index=False)
    with pytest.raises(SignalError, match="that is the future"):
        Signals.load(tmp_path / "s.parquet")


def test_concatenation_keeps_common_dates_and_the_stamp_of_each_signal(tmp_path) -> None:
    first, second = make("a", lag_days=9), make("b", dates=DATES[2:], lag_days=2, seed=1)
    joined = concatenate_signals([first, second])
    assert joined.names == ("a.up_1", "a.up_5", "b.up_1", "b.up_5")
    assert list(joined.dates) == list(DATES[2:])
    np.testing.assert_array_equal(joined.values[:, :, :2], first.values[2:])
    np.testing.assert_array_equal(joined.trained_until[:, :2], first.trained_until[2:])
    np.testing.assert_array_equal(joined.trained_until[:, 2:], second.trained_until)
    joined.save(tmp_path / "s.parquet")
    for same in (Signals.load(tmp_path / "s.parquet"), joined.scaled(), joined.copy()):
        np.testing.assert_array_equal(same.trained_until, joined.trained_until)
    np.testing.assert_array_equal(joined.select(["a.up_5"]).trained_until, first.trained_until[2:, :1])
    np.testing.assert_array_equal(joined.since(DATES[4]).trained_until, joined.trained_until[2:])
    assert joined.analysts == ("a", "b")
    assert joined.select(["b.up_5"]).horizons == (5,)
    with pytest.raises(SignalError, match=r"'a\.up_1' stands twice"):
        concatenate_signals([first, first])
    with pytest.raises(SignalError, match=r"unknown signal 'a.down'"):
        joined.select(["a.down"])


def test_a_forecast_beside_a_feature_still_says_when_it_was_trained() -> None:
    forecast = make("a", lag_days=300)
    feature = make("feature", trained_until=DATES.to_numpy())
    joined = concatenate_signals([forecast, feature])
    assert (joined.trained_until[:, :2] < DATES.to_numpy()[:, None] - np.timedelta64(200, "D")).all()
    np.testing.assert_array_equal(joined.trained_until[:, 2], DATES.to_numpy())


def test_scaling_uses_earlier_rows_only() -> None:
    signals = make()
    scaled = signals.scaled(clip=100.0)
    past = signals.values[:4].astype(np.float64)
    expected = signals.values[4, :, 0] / np.sqrt((past[:, :, 0] ** 2).mean())
    np.testing.assert_allclose(scaled.values[4, :, 0], expected, rtol=1e-6)
    assert (scaled.values[0] == 0).all()
    changed = signals.values.copy()
    changed[4:] *= 50
    again = make(values=changed).scaled(clip=100.0)
    np.testing.assert_array_equal(again.values[:4], scaled.values[:4])


def test_names_are_written_and_read() -> None:
    for spec, name in (
        (SignalSpec("a", "up", 5), "a.up_5"),
        (SignalSpec("feature", "rsi_14", 0), "feature.rsi_14"),
        (SignalSpec("a", "cvar_5", 5), "a.cvar_5_5"),
    ):
        assert spec.name == name
        assert SignalSpec.from_name(name, spec.horizon) == spec


@pytest.mark.parametrize(
    "changes",
    [
        {"values": np.zeros((5, 2, 2), dtype=np.float32)},
        {"values": np.zeros((7, 2, 2), dtype=np.float32)},
        {"values": np.zeros((6, 2, 3), dtype=np.float32)},
        {"horizons": (1,)},
        {"horizons": (1, 5, 20)},
        {"trained_until": np.full((6, 1), np.datetime64("2019-01-01"))},
        {"trained_until": np.full((6, 3), np.datetime64("2019-01-01"))},
        {"trained_until": np.full(5, np.datetime64("2019-01-01"))},
        {"trained_until": np.full(7, np.datetime64("2019-01-01"))},
    ],
)
def test_any_axis_that_disagrees_is_refused(changes) -> None:
    with pytest.raises(SignalError, match="signals disagree"):
        make(**changes)


def test_joining_keeps_each_ones_own(tmp_path) -> None:
    first, second = make("a"), make("b", dates=DATES[2:], seed=1, lag_days=3)
    joined = concatenate_signals([first, second])
    assert list(joined.dates) == list(DATES[2:])
    np.testing.assert_array_equal(joined.values[:, :, :2], first.values[2:])
    np.testing.assert_array_equal(joined.values[:, :, 2:], second.values)
    np.testing.assert_array_equal(joined.trained_until[:, 2:], second.trained_until)
    # A latest date that is not in the first column.
    joined.save(tmp_path / "j.parquet")
    np.testing.assert_array_equal(Signals.load(tmp_path / "j.parquet").trained_until, joined.trained_until)
    for symbols in (("X", "Z"), ("A", "Y")):
        for order in (1, -1):
            with pytest.raises(SignalError, match="the symbols of"):
                concatenate_signals([first, make("b", symbols=symbols)][::order])
    with pytest.raises(SignalError, match=r"'a\.up_5' stands twice"):
        concatenate_signals([make("b"), make("c", names=("c.x", "a.up_5"), horizons=(0, 5)), first])


def test_the_past_begins_at_the_first_row() -> None:
    past = make().until(DATES[3])
    assert list(past.dates) == list(DATES[:4])
    np.testing.assert_array_equal(past.values, make().values[:4])


def test_scaling_by_what_was_known() -> None:
    signals = make()
    signals.values[0, :, 1] = np.nan
    signals.values[:, :, 0] *= 1e-3
    signals.values[4, 0, 1] = 90.0
    scaled = signals.scaled()
    for column in range(2):
        for row in range(6):
            past = signals.values[: row + 1, :, column].astype(np.float64)
            past = past[:row] if row else past[:0]
            known = past[np.isfinite(past)]
            size = np.sqrt(np.mean(known**2)) if known.size else np.nan
            for symbol in range(2):
                value = signals.values[row, symbol, column]
                if np.isnan(value):
                    assert np.isnan(scaled.values[row, symbol, column])
                elif known.size:
                    expected = np.clip(value / size, -5.0, 5.0)
                    assert scaled.values[row, symbol, column] == pytest.approx(expected, rel=1e-5)
                else:
                    assert scaled.values[row, symbol, column] == 0.0
    assert scaled.values[4, 0, 1] == 5.0


def test_an_unknown_signal_is_named_first() -> None:
    with pytest.raises(SignalError, match=r"unknown signal 'b'; known: a\.up_1, a\.up_5"):
        make().select(["a.up_1", "b", "c"])


def test_scaling_in_chunks_is_the_formula_to_the_last_bit() -> None:
    """The whole panel at once, as the formula reads; with gaps, zeros, an infinite number and an empty signal."""
    rng = np.random.default_rng(0)
    dates = pd.bdate_range("2019-01-01", periods=400)
    values = rng.normal(size=(400, 5, 4)).astype(np.float32) * np.float32(0.01)
    values[rng.random(values.shape) < 0.1] = np.nan
    values[:3], values[:50, :, 1], values[:, :, 3], values[200, 2, 0] = np.nan, 0.0, np.nan, np.inf
    names = tuple(f"a.up_{number}" for number in range(1, 5))
    signals = Signals(
        dates, ("A", "B", "C", "D", "E"), names, values, dates.to_numpy() - np.timedelta64(1, "D"), (1,) * 4
    )
    for clip in (5.0, 1.0):
        wide = values.astype(np.float64)
        known = np.isfinite(wide)
        squares = np.where(known, wide, 0.0) ** 2
        total = np.cumsum(squares.sum(axis=1), axis=0) - squares.sum(axis=1)
        count = np.cumsum(known.sum(axis=1), axis=0) - known.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = np.sqrt(total / count)[:, None, :]
            expected = np.where(scale > 0, wide / scale, np.where(known, 0.0, np.nan))
        np.testing.assert_array_equal(signals.scaled(clip).values, np.clip(expected, -clip, clip).astype(np.float32))
