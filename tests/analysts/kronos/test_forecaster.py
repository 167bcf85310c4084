from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from alfred.analysts.kronos.candles import Candles, compute_stamp_parts, next_business_days, repair_candles
from alfred.analysts.kronos.decoding.plain import PlainGenerator
from alfred.analysts.kronos.decoding.sampling import StreamSource, TokenChooser
from alfred.analysts.kronos.forecaster import KronosForecaster
from tests.analysts.kronos.small import make_batch, make_frame, make_small_pair, make_wide_pair

PAIR = make_small_pair()
WIDE = make_wide_pair()


@pytest.mark.parametrize(
    ("n_bars", "horizon", "max_context"),
    [(30, 12, 64), (30, 12, 41), (30, 12, 40), (30, 12, 32), (30, 12, 20), (30, 12, 13)],
    ids=["fits", "fits exactly", "decoder slides", "slides", "longer", "hardly any history"],
)
@pytest.mark.parametrize(("pair", "temperatures"), [(PAIR, (1.0,)), (PAIR, (0.3, 1.5)), (WIDE, (0.3, 1.5))])
def test_the_fast_path_draws_what_the_plain_loop_draws(n_bars, horizon, max_context, pair, temperatures) -> None:
    candles, samples, seed = make_batch(n_bars, n_bars), 3, 11
    fast = KronosForecaster(pair.tokenizer, pair.model, max_context=max_context).forecast(
        candles, horizon, samples=samples, temperature=temperatures, top_p=0.9, seed=seed, with_logits=True
    )
    repeats = samples * len(temperatures)
    scaled, means, scales = candles.normalize()
    times = np.concatenate([candles.timestamps, next_business_days(candles.last_times, horizon)], axis=1)
    rows = torch.tensor(temperatures * 2).repeat_interleave(samples)
    s1, s2, z = PlainGenerator(pair.tokenizer, pair.model, max_context).forecast(
        torch.from_numpy(scaled).repeat_interleave(repeats, 0),
        torch.from_numpy(compute_stamp_parts(times)).repeat_interleave(repeats, 0),
        TokenChooser(rows, 0, 0.9, StreamSource(seed, torch.device("cpu"))),
        horizon,
    )
    assert np.array_equal(fast.s1.reshape(-1, horizon), s1)
    assert np.array_equal(fast.s2.reshape(-1, horizon), s2)
    assert len(np.unique(fast.s1)) > 3
    ours = (fast.paths - means[:, None, None]) / scales[:, None, None]
    np.testing.assert_allclose(ours.reshape(z.shape), z, atol=1e-3)
    assert fast.temperatures.tolist() == np.repeat(temperatures, samples).tolist()


@pytest.mark.parametrize("max_context", [64, 34])
def test_unequal_histories_are_forecast_as_if_alone(max_context) -> None:
    forecaster = KronosForecaster(PAIR.tokenizer, PAIR.model, max_context=max_context)
    lengths = (30, 9, 40)
    together = forecaster.forecast(make_batch(*lengths), 8, top_k=1, with_logits=True)
    assert together.logits is not None
    for i, length in enumerate(lengths):
        alone = forecaster.forecast(Candles.from_frames([make_frame(length, i)]), 8, top_k=1, with_logits=True)
        assert alone.logits is not None
        assert np.array_equal(together.s1[i], alone.s1[0])
        for ours, theirs in zip(together.logits, alone.logits, strict=True):
            np.testing.assert_allclose(ours[i], theirs[0], atol=1e-4)
        np.testing.assert_allclose(together.paths[i], alone.paths[0], rtol=1e-4)


@pytest.mark.parametrize("pair", [PAIR, WIDE], ids=["small", "wide"])
def test_a_series_is_drawn_alike_in_any_batch(pair) -> None:
    forecaster = KronosForecaster(pair.tokenizer, pair.model)
    batch = make_batch(30, 30, 30)
    turned = Candles(batch.values[::-1], batch.timestamps[::-1], batch.lengths[::-1])
    first = forecaster.forecast(batch, 5, samples=4, batch_invariant=True, seed=3)
    second = forecaster.forecast(turned, 5, samples=4, batch_invariant=True, seed=3)
    assert np.array_equal(first.paths, second.paths[::-1])
    other = forecaster.forecast(batch, 5, samples=4, batch_invariant=True, seed=4)
    assert not np.array_equal(first.s1, other.s1)
    assert not np.array_equal(first.s1[:, 0], first.s1[:, 1])


def test_all_temperatures_in_one_pass_are_those_of_single_passes() -> None:
    forecaster = KronosForecaster(PAIR.tokenizer, PAIR.model)
    options = {"samples": 2, "batch_invariant": True, "seed": 3}
    both = forecaster.forecast(make_batch(30), 5, temperature=(0.4, 1.2), **options)
    one = forecaster.forecast(make_batch(30), 5, temperature=0.4, **options)
    np.testing.assert_allclose(both.paths[:, :2], one.paths, rtol=1e-5)


def test_the_same_seed_gives_the_same_paths_and_leaves_torch_alone() -> None:
    forecaster = KronosForecaster(PAIR.tokenizer, PAIR.model)
    state = torch.get_rng_state()
    first, second = (forecaster.forecast(make_batch(30), 5, samples=3, seed=7) for _ in range(2))
    assert np.array_equal(first.paths, second.paths)
    assert not np.array_equal(first.paths, forecaster.forecast(make_batch(30), 5, samples=3, seed=8).paths)
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_never_acts_on_a_forecast() -> None:
    pair = make_small_pair(dropout=0.5)
    pair.tokenizer.train()
    pair.model.train()
    trained = KronosForecaster(pair.tokenizer, pair.model).forecast(make_batch(30), 5, top_k=1)
    plain = make_small_pair()
    expected = KronosForecaster(plain.tokenizer, plain.model).forecast(make_batch(30), 5, top_k=1)
    assert np.array_equal(trained.paths, expected.paths)


def test_paths_quantiles_aggregate_and_cutoff_are_kept() -> None:
    cutoff = pd.Timestamp("2020-06-30")
    forecaster = KronosForecaster(PAIR.tokenizer, PAIR.model, knowledge_cutoff=cutoff)
    forecast = forecaster.forecast(make_batch(30, 30), 4, samples=9, aggregation="median")
    assert forecast.paths.shape == (2, 9, 4, 6)
    assert forecast.knowledge_cutoff == cutoff
    assert np.array_equal(forecast.aggregate(), np.median(forecast.paths, axis=1))
    quantiles = forecast.quantiles((0.0, 0.5, 1.0))
    np.testing.assert_array_equal(quantiles[:, 0], forecast.paths.min(axis=1))
    np.testing.assert_array_equal(quantiles[:, 2], forecast.paths.max(axis=1))
    assert forecast.timestamps[0, 0] == np.datetime64("2021-02-15")  # the Monday after Friday, 12 February


def test_repair_is_off_by_default_and_orders_candles_when_on() -> None:
    forecaster = KronosForecaster(PAIR.tokenizer, PAIR.model)
    raw = forecaster.forecast(make_batch(30), 10, samples=5).paths
    assert (raw[..., 1] < raw[..., :4].max(axis=-1)).any()
    fixed = forecaster.forecast(make_batch(30), 10, samples=5, repair=True).paths
    np.testing.assert_array_equal(fixed[..., 1], raw[..., :4].max(axis=-1))
    np.testing.assert_array_equal(fixed[..., 2], raw[..., :4].min(axis=-1))
    np.testing.assert_array_equal(fixed[..., [0, 3]], raw[..., [0, 3]])
    strange = np.array([[3.0, 2.0, 5.0, 4.0, -1.0, -2.0]], dtype=np.float32)
    assert repair_candles(strange).tolist() == [[3.0, 5.0, 2.0, 4.0, 0.0, 0.0]]


@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.1), ("int8", 0.1)])
def test_lower_precision_is_near_and_never_encodes(precision, tolerance) -> None:
    exact = KronosForecaster(PAIR.tokenizer, PAIR.model).forecast(make_batch(30), 1, top_k=1, with_logits=True)
    rough_forecaster = KronosForecaster(PAIR.tokenizer, PAIR.model, precision=precision)
    rough = rough_forecaster.forecast(make_batch(30), 1, top_k=1, with_logits=True)
    assert exact.logits is not None
    assert rough.logits is not None
    difference = np.abs(rough.logits[0] - exact.logits[0]).max()
    assert 0 < difference < tolerance * np.abs(exact.logits[0]).max()
    assert rough_forecaster.tokenizer.embed.weight.dtype == torch.float32
