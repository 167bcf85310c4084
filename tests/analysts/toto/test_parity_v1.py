"""Toto 1.0 against every reference array that is there."""

from functools import partial

import numpy as np
import pytest
import torch

from alfred.analysts.toto.objectives import compute_loss
from alfred.analysts.toto.scaler import accumulate_moments, compute_scale_v1, pad_left, split_patches
from alfred.analysts.toto.v1.forecast import Toto1Forecaster
from alfred.analysts.toto.v1.network import find_same_group
from alfred.learning.losses import ROBUST_WEIGHT, compute_robust_loss, masked_mean
from tests.analysts.toto.parity import FED_BACK, ONE_PASS, every_case, require_close

every_1 = partial(every_case, "1.0")


def ids_of(case):
    return case["id_mask"][..., -1]


def forecast(case, **options):
    return Toto1Forecaster(case.network).predict_mean(
        case["series"], mask=case["padding_mask"], ids=ids_of(case), **options
    )


def reread(case, series, mask):
    """Return location and scale of each patch as the scaler of this configuration finds them, float64."""
    config = case.network.config
    moments = accumulate_moments(series, mask)
    ends = moments.at(slice(config.patch_size - 1, None, config.patch_size))
    whole = moments.at(slice(-1, None)) if config.stabilize_with_global else None
    return ends.mean, compute_scale_v1(ends, whole, config.scale_factor_exponent)


@every_1("padded", "scaled")
def test_padding_and_scaler(case) -> None:
    p = case.network.config.patch_size
    series, mask = pad_left(case["series"], case["padding_mask"], p)
    assert torch.equal(series, case["padded"])
    assert torch.equal(mask, case["padded_mask"])
    loc, scale = reread(case, series, mask)
    scaled = (split_patches(series, p).double() - loc[..., None]) / scale[..., None]
    require_close(loc.repeat_interleave(p, -1), case["scaler_loc"], ONE_PASS, case["scaler_scale"])
    require_close(scale.repeat_interleave(p, -1), case["scaler_scale"], ONE_PASS, case["scaler_scale"])
    require_close(scaled.flatten(-2), case["scaled"], ONE_PASS)


@every_1("hidden")
@torch.no_grad()
def test_network(case) -> None:
    network, same_group = case.network, find_same_group(ids_of(case))
    mixture = network(case["scaled"], same_group)
    require_close(mixture.df, case["mix_df"], ONE_PASS)
    require_close(mixture.loc, case["mix_loc"], ONE_PASS)
    require_close(mixture.scale, case["mix_scale"], ONE_PASS)
    require_close(mixture.log_weight.exp(), case["mix_prob"], ONE_PASS)
    scale = case["scaler_scale"]
    mean = mixture.shifted(case["scaler_loc"], scale).mean()
    require_close(mean, case["mean"], ONE_PASS, scale)
    require_close(network.embed(split_patches(case["scaled"], network.config.patch_size)), case["embedding"], ONE_PASS)
    require_close(network.read(case["scaled"], same_group), case["hidden"], ONE_PASS)


@every_1("next_patch")
@torch.inference_mode()
def test_one_more_patch_with_and_without_the_cache(case) -> None:
    forecaster = Toto1Forecaster(case.network)
    following, observed = case["next_patch"], case["padding_mask"]
    reading = forecaster._read(case["series"], observed, ids_of(case))
    forecaster._extend(reading, following[:, None])
    grown = torch.cat((case["series"], following), dim=-1)
    seen = torch.cat((observed, torch.ones_like(following, dtype=torch.bool)), dim=-1)
    full = forecaster._read(grown, seen, ids_of(case), whole=reading.whole)
    for name, hidden in (("cached", reading.hidden), ("full", full.hidden)):
        mixture = forecaster._read_out(hidden[:, 0])
        parts = {"df": mixture.df, "loc": mixture.loc, "scale": mixture.scale, "prob": mixture.log_weight.exp()}
        for part, expected in case.matching(f"next_{name}_"):
            require_close(parts[part], expected, ONE_PASS)
    for reached in (reading, full):
        require_close(reached.loc[:, 0], case["next_scaler_loc"], ONE_PASS, case["next_scaler_scale"])
        require_close(reached.scale[:, 0], case["next_scaler_scale"], ONE_PASS, case["next_scaler_scale"])


def measure_rounding(case):
    """Return what feeding back may be off: the reference's own distance from float64 where that is known, or more."""
    exact = case.arrays.get("mean_forecast_cached_float64")
    rounded = None if exact is None else case.arrays.get(f"mean_forecast_cached_h{exact.shape[-1]}")
    if exact is None or rounded is None:
        return FED_BACK
    return max(FED_BACK, 2 * float(((rounded - exact).abs() / case["scaler_scale"][..., -1:]).max()))


@every_1("scaler_scale")
@pytest.mark.parametrize("mode", ["cached", "full"])
def test_mean_forecasts(case, mode) -> None:
    scale = case["scaler_scale"][..., -1:]
    for horizon, expected in case.matching(f"mean_forecast_{mode}_h"):
        actual = forecast(case, horizon=int(horizon), use_cache=mode == "cached")
        require_close(actual, expected, measure_rounding(case), scale)


@every_1("mean_forecast_cached_float64")
def test_mean_forecast_in_float64(case) -> None:
    expected = case["mean_forecast_cached_float64"]
    forecaster = Toto1Forecaster(case.network.double())
    actual = forecaster.predict_mean(case["series"].double(), expected.shape[-1], case["padding_mask"], ids_of(case))
    case.network.float()
    # The reference rounds some constants to float32 whatever the network is in.
    require_close(actual, expected, 1e-6, case["scaler_scale"][..., -1:].double())


@every_1("exogenous_future")
def test_known_future_of_exogenous_variates(case) -> None:
    future, expected = case["exogenous_future"], case["exogenous_mean_forecast"]
    actual = forecast(case, horizon=expected.shape[-1], known_future=future)
    require_close(actual, expected, FED_BACK, case["scaler_scale"][..., -1:])
    assert torch.equal(actual[:, -future.shape[1] :], future)


@every_1("sample_quantile_levels")
def test_sampled_quantiles(case) -> None:
    [(drawn, expected)] = case.matching("sample_quantiles_")
    levels, n, p = case["sample_quantile_levels"], int(drawn), case.network.config.patch_size
    b, v, horizon = expected.shape[1:]
    noise = np.random.default_rng(3).random((b, v, n, -(-horizon // p) * p, 3), dtype=np.float32)
    forecaster = Toto1Forecaster(case.network)
    paths = forecaster.sample_paths(
        case["series"], horizon, torch.from_numpy(noise), case["padding_mask"], ids_of(case)
    )
    # Two samples of n draws: the share below a reference quantile has a standard error of
    # sqrt(2 p (1 - p) / n); the bound is five of them.
    share = (paths[None] <= expected[:, :, :, None]).double().mean(dim=3)
    error = (share - levels[:, None, None, None]).abs() / (2 * levels * (1 - levels) / n).sqrt()[:, None, None, None]
    assert float(error.max()) < 5


@every_1("loss_combined")
def test_losses_and_gradients(case) -> None:
    network, p, heads = case.network, case.network.config.patch_size, case.network.config.num_heads
    network.zero_grad()
    loss = compute_loss(network, case["series"], case["padding_mask"], ids_of(case), loss="mixture")
    loss.backward()
    require_close(loss.detach(), case["loss_combined"], ONE_PASS)
    embed, attention = case["grad_patch_embed"], network.transformer.layers[0].attention
    require_close(network.embed.weight.grad, embed, FED_BACK, embed.abs().max())
    joint, alone = case["grad_wqkv_0"], network.transformer.spacewise[0] and case["series"].shape[1] == 1
    for part, expected in zip(("query", "key", "value"), joint.chunk(3), strict=True):
        # In the reference the head is the fast axis of a row, here the slow one.
        weight = getattr(attention, part).weight
        if alone and part != "value":
            # A variate alone gives itself all the weight, whatever queries and keys are.
            assert weight.grad is None or not weight.grad.any()
        gradient = (torch.zeros_like(weight) if weight.grad is None else weight.grad).unflatten(0, (heads, -1))
        require_close(gradient, expected.unflatten(0, (-1, heads)).transpose(0, 1), FED_BACK, joint.abs().max())
    with torch.no_grad():
        series, mask = pad_left(case["series"], case["padding_mask"], p)
        # The loss reads all but the last patch: the clamp knows no more than that.
        loc, scale = (part.repeat_interleave(p, -1) for part in reread(case, series[..., :-p], mask[..., :-p]))
        mixture = network(((series[..., :-p] - loc) / scale).float(), find_same_group(ids_of(case)))
        target = ((series[..., p:] - loc) / scale).float()
        nll = masked_mean(-mixture.log_density(target), mask[..., p:])
        robust = masked_mean(compute_robust_loss(mixture.mean(), target), mask[..., p:])
    require_close(nll, case["loss_nll"], FED_BACK)
    require_close(robust, case["loss_robust"], FED_BACK)
    require_close((1 - ROBUST_WEIGHT) * nll + ROBUST_WEIGHT * robust, loss.detach(), FED_BACK)
