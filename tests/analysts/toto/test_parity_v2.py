"""Toto 2.0 against every reference array that is there."""

import re

import torch

from alfred.analysts.toto.scaler import accumulate_moments, backfill_short_starts, compute_scale_v2, split_patches
from alfred.analysts.toto.v2.forecast import FALLBACK_FIRST, NO_GUARDS, Guards, Toto2Forecaster
from tests.analysts.toto.parity import FED_BACK, ONE_PASS, OWN, every_case, require_close

every_2 = every_case("2.0")


def predict(case, horizon, **options):
    deciles = Toto2Forecaster(case.network).predict_deciles(
        case["target"], horizon, case["target_mask"], case["series_ids"], reference_groups=True, **options
    )
    return deciles.permute(3, 0, 1, 2)


@every_2
def test_scaler(case) -> None:
    p = case.network.config.patch_size
    moments = accumulate_moments(case["target"], case["target_mask"])
    ends = moments.at(slice(p - 1, None, p))
    scale = compute_scale_v2(ends)
    unit = case["scaler_scale"]
    require_close(ends.mean.repeat_interleave(p, -1), case["scaler_loc"], ONE_PASS, unit)
    require_close(scale.repeat_interleave(p, -1), unit, ONE_PASS, unit)
    loc, scale = backfill_short_starts(moments, ends.mean, scale, FALLBACK_FIRST)
    unit = case["backfilled_scale"]
    require_close(loc.repeat_interleave(p, -1), case["backfilled_loc"], ONE_PASS, unit)
    require_close(scale.repeat_interleave(p, -1), unit, ONE_PASS, unit)


@every_2
def test_scaled_values(case) -> None:
    observed = case["target_mask"]
    scaled = (case["target"].double() - case["scaler_loc"]) / case["scaler_scale"]
    require_close(torch.where(observed, scaled, 0.0), torch.where(observed, case["scaled"], 0.0), ONE_PASS)


@every_2
@torch.no_grad()
def test_forward_pass(case) -> None:
    p = case.network.config.patch_size
    deciles = case.network(split_patches(case["scaled"], p), split_patches(case["target_mask"], p), case["series_ids"])
    require_close(deciles.permute(4, 0, 1, 2, 3), case["forward_quantiles"], ONE_PASS)


@every_2
def test_forecasts(case) -> None:
    scale = case["scaler_scale"][..., -1:]
    for name, expected in case.matching("quantiles_h"):
        horizon, block = re.fullmatch(r"(\d+)_block(\d+)(?:_nomissing)?", name).groups()
        require_close(
            predict(case, int(horizon), block_size=int(block) or None, guards=NO_GUARDS), expected, FED_BACK, scale
        )


@every_case("2.0", "quantiles_guarded")
def test_guards(case) -> None:
    p = case.network.config.patch_size
    actual = predict(case, 2 * p, block_size=p, guards=Guards(fallback_first=8, cap_scales=3.0))
    require_close(actual, case["quantiles_guarded"], FED_BACK, case["backfilled_scale"][..., -1:])


@every_2
def test_a_series_keeps_its_own_group_by_default(case) -> None:
    forecaster, p = Toto2Forecaster(case.network), case.network.config.patch_size
    options = {"mask": case["target_mask"], "ids": case["series_ids"], "block_size": p}
    own = forecaster.predict_deciles(case["target"], 3 * p, **options)
    reference = forecaster.predict_deciles(case["target"], 3 * p, reference_groups=True, **options)
    seen_start = bool(split_patches(case["target_mask"], p)[..., 0, :].any(-1).all())
    # An unseen start shows only in variates that share a group, as those of our own arrays do.
    assert torch.equal(own, reference) or not seen_start
    assert seen_start or case.folder.parent != OWN or not torch.allclose(own, reference, atol=1e-3)
