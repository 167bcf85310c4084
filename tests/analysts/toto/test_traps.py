"""One test for each trap that the facts name: what is easy to miss and changes every number."""

import numpy as np
import pytest
import torch

from alfred.analysts.toto.config import Toto1Config, Toto2Config
from alfred.analysts.toto.mixture import Mixture
from alfred.analysts.toto.rotary import Rotary
from alfred.analysts.toto.scaler import accumulate_moments, backfill_short_starts, compute_scale_v1, compute_scale_v2
from alfred.analysts.toto.v1.forecast import Toto1Forecaster
from alfred.analysts.toto.v1.network import Toto1
from alfred.analysts.toto.v2.forecast import NO_GUARDS, Guards, Toto2Forecaster
from alfred.analysts.toto.v2.weights import make_fresh_network_v2

SMALL = {"embed_dim": 16, "num_layers": 3, "num_heads": 2, "mlp_hidden_dim": 24, "spacewise_every_n_layers": 3}


def make_network(patch=8, **changes) -> Toto1:
    torch.manual_seed(4)
    config = {**SMALL, "patch_size": patch, "stride": patch, "k_components": 3, **changes}
    return Toto1(Toto1Config.model_validate(config)).eval()


def walk(*shape, seed=0, scale=1.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(0, scale, shape).cumsum(axis=-1).astype(np.float32))


def everything(series):
    return torch.ones_like(series, dtype=torch.bool)


def test_a_tenth_is_added_inside_the_root_and_flattens_returns() -> None:
    returns = torch.from_numpy(np.random.default_rng(0).normal(0, 0.01, 512))
    end = accumulate_moments(returns, everything(returns)).at(-1)
    scale = compute_scale_v1(end, None, 10.0)
    variance = float(np.var(returns.numpy(), ddof=1))
    assert float(scale) == pytest.approx((variance + 0.1) ** 0.5, rel=1e-12)
    assert float((returns / scale).std()) < 0.035
    # Neither a floor after the root nor anything of the kind in 2.0.
    assert float(compute_scale_v2(end)) == pytest.approx(variance**0.5, rel=1e-12)


def test_running_moments_equal_those_of_every_prefix() -> None:
    rng = np.random.default_rng(1)
    values, mask = rng.normal(5, 2, (3, 40)), rng.random((3, 40)) < 0.7
    moments = accumulate_moments(torch.from_numpy(values), torch.from_numpy(mask))
    for row in range(3):
        for stop in range(1, 41):
            seen = values[row, :stop][mask[row, :stop]]
            assert float(moments.count[row, stop - 1]) == len(seen)
            assert float(moments.mean[row, stop - 1]) == pytest.approx(seen.mean() if len(seen) else 0, abs=1e-12)
            variance = seen.var(ddof=1) if len(seen) > 1 else 0
            assert float(moments.sample_variance()[row, stop - 1]) == pytest.approx(variance, abs=1e-10)


def test_moments_go_on_from_a_past() -> None:
    series = walk(2, 1, 40).double()
    whole = accumulate_moments(series, everything(series))
    first = accumulate_moments(series[..., :24], everything(series[..., :24]))
    rest = accumulate_moments(series[..., 24:], everything(series[..., 24:]), first.at(-1))
    torch.testing.assert_close(rest.m2[..., -1], whole.m2[..., -1])
    torch.testing.assert_close(rest.mean[..., -1], whole.mean[..., -1])


def test_padding_changes_the_forecast_of_1_0() -> None:
    forecaster, series = Toto1Forecaster(make_network()), 100 + walk(1, 1, 40)
    cut = forecaster.predict_mean(series[..., -32:], 8)
    padded = forecaster.predict_mean(series[..., -35:], 8)
    by_hand = torch.nn.functional.pad(series[..., -35:], (5, 0))
    mask = torch.nn.functional.pad(everything(series[..., -35:]), (5, 0))
    torch.testing.assert_close(padded, forecaster.predict_mean(by_hand, 8, mask))
    assert not torch.allclose(padded, cut, atol=1e-2)


def test_the_centre_of_xpos_cancels_inside_a_call_and_not_across_calls() -> None:
    query, key = torch.randn(2, 6, 8, dtype=torch.float64), torch.randn(2, 6, 8, dtype=torch.float64)
    for layout in ("halves", "pairs"):
        rotary = Rotary(8, 8, 64.0, layout)
        products = []
        for query_centre, key_centre in ((0, 0), (3, 3), (3, 0)):
            turned = rotary.make_turn(0, 6, query_centre, query).apply(query, key)[0]
            other = rotary.make_turn(0, 6, key_centre, query).apply(query, key)[1]
            products.append(turned @ other.transpose(-1, -2))
        torch.testing.assert_close(products[0], products[1])
        assert not torch.allclose(products[0], products[2], rtol=1e-3)


def test_layouts_of_xpos_differ() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    halves, pairs = (Rotary(8, 8, 64.0, layout).make_turn(0, 9, 0, like) for layout in ("halves", "pairs"))
    base = [(2 * i + 0.4 * 8) / (1.4 * 8) for i in range(4)]
    cosine = [np.cos(8 * 10_000 ** (-2 * i / 8)) for i in range(4)]
    expected = [cosine[c // 2] * base[c % 4] ** (8 / 64) for c in range(8)]
    torch.testing.assert_close(halves.query_cos[8], torch.tensor(expected, dtype=torch.float64))
    expected = [cosine[c // 2] * base[c // 2] ** (8 / 64) for c in range(8)]
    torch.testing.assert_close(pairs.query_cos[8], torch.tensor(expected, dtype=torch.float64))


def test_cached_and_uncached_decoding_differ_when_the_centre_moves() -> None:
    forecaster, series = Toto1Forecaster(make_network()), 100 + walk(2, 1, 32)
    one_patch = [forecaster.predict_mean(series, 8, use_cache=cache) for cache in (True, False)]
    assert torch.equal(*one_patch)
    cached, full = (forecaster.predict_mean(series, 24, use_cache=cache) for cache in (True, False))
    assert 1e-6 < float((cached - full).abs().max()) < 1


def test_overflow_is_fed_back_as_zero() -> None:
    network = make_network()
    with torch.no_grad():
        network.head.bias[3:6] = 1e38
    path = Toto1Forecaster(network).predict_mean(100 + walk(1, 1, 32), 16)
    assert torch.equal(path, torch.zeros_like(path))


def test_weights_of_a_mixture_are_never_quite_zero() -> None:
    mixture = Mixture.from_outputs(torch.tensor([0.0, 0, 0, 50, -9, -9, 90, -90]))
    assert float(mixture.log_weight.exp().min()) == pytest.approx(torch.finfo(torch.float32).eps, rel=1e-3)
    assert float(mixture.log_weight.exp().sum()) == pytest.approx(1, abs=1e-6)


def make_forecaster_v2() -> Toto2Forecaster:
    config = Toto2Config(patch_size=8, d_model=16, num_heads=2, num_layers=2, layer_group_size=2)
    return Toto2Forecaster(make_fresh_network_v2(config, torch.Generator().manual_seed(0)))


def test_the_cap_holds_forecasts_near_the_context() -> None:
    forecaster, series = make_forecaster_v2(), walk(1, 1, 32)
    with torch.no_grad():
        forecaster.network.head.skip.bias[8] = 9.0  # the ninth decile of the first step lies 4000 scales away
    free = forecaster.predict_deciles(series, 8, guards=NO_GUARDS)
    capped = forecaster.predict_deciles(series, 8, guards=Guards(fallback_first=None, cap_scales=3.0))
    limit = series.max() + 3 * compute_scale_v2(accumulate_moments(series, everything(series)).at(-1))
    assert float(free.max()) > 100 * float(limit)
    assert float(capped.max()) == pytest.approx(float(limit), rel=1e-6)


def test_a_short_start_borrows_the_scale_of_the_first_observations() -> None:
    series = torch.tensor([[0.0, 0, 0, 0, 0, 0, 5, 5, 9, 1, 9, 1, 9, 1, 9, 1]]).double()
    mask = torch.arange(16) >= 6
    moments = accumulate_moments(series, mask[None])
    ends = moments.at(slice(7, None, 8))
    assert float(compute_scale_v2(ends)[0, 0]) == 1e-6
    loc, scale = backfill_short_starts(moments, ends.mean, compute_scale_v2(ends), 4)
    first = np.array([5.0, 5, 9, 1])
    assert float(loc[0, 0]) == pytest.approx(first.mean())
    assert float(scale[0, 0]) == pytest.approx(first.std(ddof=1))
    assert float(loc[0, 1]) == float(ends.mean[0, 1])


def test_infinite_deciles_become_the_largest_finite_ones() -> None:
    forecaster = make_forecaster_v2()
    with torch.no_grad():
        forecaster.network.head.skip.bias[8] = 500.0  # the ninth decile of the first step overflows sinh
    deciles = forecaster.predict_deciles(walk(1, 1, 32), 8, guards=NO_GUARDS)
    assert deciles.isfinite().all()
    assert (deciles.diff(dim=-1) >= 0).all()


def test_the_last_patch_counts_as_observed() -> None:
    forecaster, series = make_forecaster_v2(), walk(1, 1, 32)
    mask = everything(series)
    mask[..., -3:] = False
    assert torch.equal(forecaster.predict_deciles(series, 8, mask), forecaster.predict_deciles(series, 8))
