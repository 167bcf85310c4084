"""What makes Toto fast changes nothing: each short cut against the long way."""

import numpy as np
import pytest
import torch

from alfred.analysts.toto.history import forecast_history
from alfred.analysts.toto.scaler import accumulate_moments, compute_scale_v1, split_patches
from alfred.analysts.toto.v1.forecast import Toto1Forecaster
from alfred.analysts.toto.v1.network import find_same_group
from alfred.analysts.toto.v2.forecast import NO_GUARDS
from alfred.errors import ConfigError
from tests.analysts.toto.test_traps import everything, make_forecaster_v2, make_network, walk

P = 8


def make_noise(*shape, seed=5):
    return torch.from_numpy(np.random.default_rng(seed).random((*shape, 3), dtype=np.float32))


@torch.no_grad()
def test_last_patch_through_merged_heads_equals_every_patch_through_both() -> None:
    network, series = make_network(), 100 + walk(2, 3, 40)
    ids = torch.tensor([[0, 0, 1], [0, 1, 1]])
    ends = accumulate_moments(series, everything(series)).at(slice(P - 1, None, P))
    scale = compute_scale_v1(ends, None, 10.0)
    scaled = ((split_patches(series, P).double() - ends.mean[..., None]) / scale[..., None]).flatten(-2).float()
    whole = network(scaled, find_same_group(ids))
    expected = type(whole)(*(part[:, :, -P:] for part in vars(whole).values()))
    expected = expected.shifted(ends.mean[..., -1:].float(), scale[..., -1:].float())
    actual = Toto1Forecaster(network).predict_marginals(series, ids=ids)
    for name, part in vars(actual).items():
        torch.testing.assert_close(part, vars(expected)[name], rtol=1e-4, atol=1e-4, msg=name)
    some = Toto1Forecaster(network).predict_marginals(series, ids=ids, steps=(2, 7))
    torch.testing.assert_close(some.loc, actual.loc[:, :, [1, 6]])


@pytest.mark.parametrize("first", [False, True])
def test_shared_prefill_equals_copies_of_the_context(first) -> None:
    """Three patches ahead: the second and third read what each path drew, behind the shared history."""
    forecaster = Toto1Forecaster(make_network(spacewise_first=first))
    series, n, horizon = 100 + walk(2, 3, 32), 5, 3 * P
    ids = torch.tensor([[0, 0, 1], [0, 1, 1]])
    noise = make_noise(2, 3, n, horizon)
    shared = forecaster.sample_paths(series, horizon, noise, ids=ids)
    for path in range(n):
        alone = forecaster.sample_paths(series, horizon, noise[:, :, path : path + 1], ids=ids)
        torch.testing.assert_close(shared[:, :, path : path + 1], alone, rtol=1e-4, atol=1e-4)
    copies = forecaster.sample_paths(
        series.repeat_interleave(n, 0),
        horizon,
        noise.transpose(1, 2).flatten(0, 1)[:, :, None],
        ids=ids.repeat_interleave(n, 0),
    )
    torch.testing.assert_close(shared, copies[:, :, 0].unflatten(0, (2, n)).transpose(1, 2), rtol=1e-4, atol=1e-4)


def test_paths_agree_with_the_marginals_of_the_first_patch() -> None:
    forecaster, n = Toto1Forecaster(make_network()), 4000
    series = 100 + walk(2, 1, 32)
    paths = forecaster.sample_paths(series, P, make_noise(2, 1, n, P))
    quantiles = torch.from_numpy(forecaster.predict_marginals(series).quantiles((0.1, 0.5, 0.9)))
    share = (paths[..., None] <= quantiles[:, :, None]).double().mean(dim=2)
    error = (share - torch.tensor([0.1, 0.5, 0.9])).abs() / torch.tensor([0.0047, 0.0079, 0.0047])
    assert float(error.max()) < 4.5  # standard errors of a share among 4000


def test_a_path_follows_from_its_noise_alone() -> None:
    forecaster, series = Toto1Forecaster(make_network()), 100 + walk(4, 1, 32)
    noise = make_noise(4, 1, 3, 2 * P)
    whole = forecaster.sample_paths(series, 2 * P, noise)
    torch.testing.assert_close(
        whole[1:2], forecaster.sample_paths(series[1:2], 2 * P, noise[1:2]), rtol=1e-5, atol=1e-5
    )
    assert not torch.allclose(whole, forecaster.sample_paths(series, 2 * P, make_noise(4, 1, 3, 2 * P, seed=6)))


def test_one_pass_over_queries_equals_more_queries_than_asked() -> None:
    """The last query is left out and later layers read the asked tokens only: a longer horizon starts the same."""
    forecaster, series = make_forecaster_v2(), walk(3, 1, 40)
    short = forecaster.predict_deciles(series, P, guards=NO_GUARDS)
    long = forecaster.predict_deciles(series, 4 * P, guards=NO_GUARDS)
    torch.testing.assert_close(long[:, :, :P], short, rtol=1e-5, atol=1e-5)


def test_batches_of_2_0_equal_single_calls() -> None:
    forecaster, series = make_forecaster_v2(), walk(4, 2, 40)
    batch = forecaster.predict_deciles(series, 3 * P, block_size=P)
    single = [forecaster.predict_deciles(row[None], 3 * P, block_size=P) for row in series]
    torch.testing.assert_close(batch, torch.cat(single), rtol=1e-4, atol=1e-4)


def forecast_alone(forecaster, history, steps):
    """Return mean and quantiles from one window that ends where the table's row does."""
    window = torch.from_numpy(history[len(history) % P :].astype(np.float32))[None, None]
    if forecaster.levels[0] == 0.05:
        mixture = forecaster.predict_marginals(window, steps=steps)
        return mixture.mean()[0, 0].numpy(), mixture.quantiles(forecaster.levels)[0, 0]
    deciles = forecaster.predict_deciles(window, max(steps), guards=NO_GUARDS)[0, 0, [s - 1 for s in steps]].numpy()
    return deciles.mean(axis=-1), deciles


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_table_equals_single_windows_with_the_same_context(version) -> None:
    forecaster = Toto1Forecaster(make_network()) if version == "1.0" else make_forecaster_v2()
    series = walk(61, seed=2).double().numpy()
    steps = (1, 5, P)
    mean, quantiles = forecast_history(forecaster, series, np.ones(61, dtype=bool), steps, longest=4096)
    assert np.isnan(mean[: P - 1]).all()
    for row in range(P - 1, 61):
        alone_mean, alone_quantiles = forecast_alone(forecaster, series[: row + 1], steps)
        np.testing.assert_allclose(mean[row], alone_mean, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(quantiles[row], alone_quantiles, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_stretches_bound_the_context(version) -> None:
    forecaster = Toto1Forecaster(make_network()) if version == "1.0" else make_forecaster_v2()
    series, seen = walk(100, seed=3).double().numpy(), np.ones(100, dtype=bool)
    mean, _ = forecast_history(forecaster, series, seen, (1,), longest=32)
    assert np.isfinite(mean[P - 1 :]).all()
    # Row 70 lies in the stretch from 48; the whole patches that end there begin on 55.
    for changed, matters in ((54, False), (55, True)):
        other = series.copy()
        other[changed] += 5
        again, _ = forecast_history(forecaster, other, seen, (1,), longest=32)
        assert (abs(again[70, 0] - mean[70, 0]) > 1e-9) == matters


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_nothing_after_a_row_reaches_it(version) -> None:
    forecaster = Toto1Forecaster(make_network()) if version == "1.0" else make_forecaster_v2()
    series, seen = walk(90, seed=4).double().numpy(), np.ones(90, dtype=bool)
    mean, quantiles = forecast_history(forecaster, series, seen, (1, 4), longest=64)
    scrambled = series.copy()
    scrambled[60:] = np.random.default_rng(0).normal(0, 1000, 30)
    again, again_quantiles = forecast_history(forecaster, scrambled, seen, (1, 4), longest=64)
    np.testing.assert_array_equal(mean[:60], again[:60])
    np.testing.assert_array_equal(quantiles[:60], again_quantiles[:60])
    assert not np.allclose(mean[60:], again[60:])


def test_errors_of_tables_and_paths() -> None:
    forecaster = Toto1Forecaster(make_network())
    seen = np.ones(40, dtype=bool)
    with pytest.raises(ConfigError, match="1 to 8 sessions ahead, the patch; got"):
        forecast_history(forecaster, np.zeros(40), seen, (9,), longest=64)
    with pytest.raises(ConfigError, match="longest context 8 must be at least two patches of 8"):
        forecast_history(forecaster, np.zeros(40), seen, (1,), longest=8)
    with pytest.raises(ConfigError, match="not all in the next patch of 8; sample paths instead"):
        forecaster.predict_marginals(walk(1, 1, 16), steps=(9,))
    with pytest.raises(ConfigError, match="the noise covers 8 steps, but the horizon is 9"):
        forecaster.sample_paths(walk(1, 1, 16), 9, make_noise(1, 1, 2, 8))
    with pytest.raises(ConfigError, match="block_size 12 must be a multiple of the patch of 8"):
        make_forecaster_v2().predict_deciles(walk(1, 1, 16), 30, block_size=12)
