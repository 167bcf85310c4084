from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from alfred.analysts.kronos.candles import Candles
from alfred.analysts.kronos.config import COLUMNS
from alfred.analysts.kronos.forecaster import KronosForecast, KronosForecaster
from tests.analysts.kronos.parity import WINDOWS, Parity, name_folder

pytestmark = pytest.mark.parametrize(("parity", "window"), WINDOWS, ids=name_folder)


class Case:
    """One window of one folder: histories and coming times as `meta.json` says."""

    def __init__(self, parity: Parity, window: str) -> None:
        sizes = parity.windows[window]
        self.stop = sizes["context"] + sizes["horizon"]
        self.context = sizes["context"]
        self.series = parity.series
        self.arrays = {
            name.split("/")[1]: array for name, array in parity.forecasts.items() if name.startswith(f"{window}/")
        }
        self.forecaster = KronosForecaster(parity.pair.tokenizer, parity.pair.model, max_context=sizes["max_context"])

    def forecast(self, series: slice, absent: tuple[str, ...] = (), **options: object) -> KronosForecast:
        frames = [frame.drop(columns=list(absent)) for frame in self.series[series]]
        history = Candles.from_frames([frame[: self.context] for frame in frames])
        future = [pd.DatetimeIndex(frame["timestamps"][self.context : self.stop]) for frame in frames]
        return self.forecaster.forecast(history, future=future, **options)  # type: ignore[arg-type]

    def check(self, ours: npt.NDArray[np.floating], name: str, series: slice, absent: tuple[str, ...] = ()) -> None:
        """Compare candles with a tolerance of 1e-5 of the spread of their column in the history."""
        theirs = self.arrays[name].reshape(ours.shape)
        for i, frame in enumerate(self.series[series]):
            history = frame.drop(columns=list(absent))[: self.context]
            prices = history[list(COLUMNS[:4])].mean(axis=1)
            volume = history["volume"] if "volume" in history else 0.0 * prices
            # An amount that is not given is rebuilt, and may be in another unit than the one in the table.
            amount = history["amount"] if {"volume", "amount"} <= set(history) else volume * prices
            table = history[list(COLUMNS[:4])].assign(volume=volume, amount=amount)
            # What is absent is scaled by the floor of the standard deviation.
            spread = table.std(ddof=0).to_numpy() + 1e-5
            # Beside it the rounding of float32 itself, which counts where a price is large against its spread.
            allowed = 1e-5 * spread + 2e-7 * np.abs(theirs[i])
            assert np.all(np.abs(ours[i] - theirs[i]) <= allowed), (name, i)


@pytest.fixture
def case(parity: Parity, window: str) -> Case:
    return Case(parity, window)


def test_single_greedy(case: Case) -> None:
    forecast = case.forecast(slice(0, 1), top_k=1, with_logits=True)
    assert np.array_equal(forecast.s1[:, 0], case.arrays["single_s1"])
    assert np.array_equal(forecast.s2[:, 0], case.arrays["single_s2"])
    assert forecast.logits is not None
    for ours, name in zip(forecast.logits, ("single_logits_s1", "single_logits_s2"), strict=True):
        np.testing.assert_allclose(ours[:, 0], case.arrays[name], atol=1e-4, rtol=0)
    case.check(forecast.aggregate(), "single", slice(0, 1))


def test_batch_greedy(case: Case) -> None:
    series = slice(0, len(case.arrays["batch"]))
    forecast = case.forecast(series, top_k=1)
    assert np.array_equal(forecast.s1[:, 0], case.arrays["batch_s1"])
    assert np.array_equal(forecast.s2[:, 0], case.arrays["batch_s2"])
    case.check(forecast.aggregate(), "batch", series)


def test_missing_volume_and_amount(case: Case) -> None:
    series = slice(1, 2)
    nothing = ("volume", "amount")
    case.check(case.forecast(series, nothing, top_k=1).aggregate(), "no_volume", series, nothing)
    # An amount that comes without its volume is not used.
    case.check(case.forecast(series, ("volume",), top_k=1).aggregate(), "no_volume", series, nothing)
    case.check(case.forecast(series, ("amount",), top_k=1).aggregate(), "no_amount", series, ("amount",))


def test_seeded_samples(case: Case) -> None:
    series = slice(0, len(case.arrays["sampled"]))
    samples = len(case.arrays["sampled_s1"]) // len(case.arrays["sampled"])
    seed = int(case.arrays["sampled_seed"])
    forecast = case.forecast(series, samples=samples, temperature=0.8, top_p=0.9, seed=seed)
    assert np.array_equal(forecast.s1.reshape(-1, forecast.s1.shape[-1]), case.arrays["sampled_s1"])
    assert np.array_equal(forecast.s2.reshape(-1, forecast.s2.shape[-1]), case.arrays["sampled_s2"])
    case.check(forecast.aggregate(), "sampled", series)
