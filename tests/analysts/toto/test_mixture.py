"""The mixture against scipy and torch.distributions."""

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from alfred.analysts.toto.mixture import Mixture

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)


def make_mixture(*shape, k=4, spread=1.5, seed=0) -> Mixture:
    generator = torch.Generator().manual_seed(seed)
    return Mixture.from_outputs(spread * torch.randn(*shape, 4 * k, generator=generator, dtype=torch.float64))


def compute_cdf(mixture, place, x):
    parts = [getattr(mixture, name)[place].numpy() for name in ("df", "loc", "scale", "log_weight")]
    df, loc, scale, log_weight = parts
    return float((np.exp(log_weight) * stats.t.cdf(x, df, loc, scale)).sum())


def test_quantiles_equal_a_root_search() -> None:
    mixture = make_mixture(6)
    actual = mixture.quantiles(LEVELS)
    for place in range(6):
        for position, level in enumerate(LEVELS):
            root = optimize.brentq(lambda x, p=place, q=level: compute_cdf(mixture, p, x) - q, -500, 500, xtol=1e-12)
            assert actual[place, position] == pytest.approx(root, abs=1e-5)


def test_one_component_is_a_student_t() -> None:
    mixture = Mixture.from_outputs(torch.tensor([[1.0, 2.0, 0.5, 0.0]], dtype=torch.float64))
    df, loc, scale = (float(part) for part in (mixture.df, mixture.loc, mixture.scale))
    np.testing.assert_allclose(mixture.quantiles(LEVELS)[0], stats.t.ppf(LEVELS, df, loc, scale), rtol=1e-6)
    assert float(mixture.mean()) == pytest.approx(loc)
    assert float(mixture.variance()) == pytest.approx(stats.t.var(df, loc, scale))


def test_components_far_apart_and_nearly_points_are_inverted() -> None:
    mixture = make_mixture(300, k=8, spread=6.0)
    quantiles = mixture.quantiles(LEVELS)
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    for place in range(300):
        for position, level in enumerate(LEVELS):
            x, hair = quantiles[place, position], 1e-9 * (1 + abs(quantiles[place, position]))
            # Where the distribution function all but jumps, the level lies between its two sides.
            low, high = compute_cdf(mixture, place, x - hair), compute_cdf(mixture, place, x + hair)
            assert low - 1e-5 <= level <= high + 1e-5


def test_degrees_of_freedom_that_round_to_two() -> None:
    mixture = Mixture.from_outputs(torch.tensor([[-200.0, -200, 0.3, 2, 1, 1, 0, 0]]))
    assert mixture.df.tolist() == [[2.0, 2.0]]
    assert mixture.variance().isfinite().all()
    quantiles = mixture.quantiles(LEVELS)[0]
    for position, level in enumerate(LEVELS):
        assert compute_cdf(mixture, 0, quantiles[position]) == pytest.approx(level, abs=1e-6)


def test_density_equals_torch_distributions() -> None:
    mixture = make_mixture(50)
    x = torch.randn(50, dtype=torch.float64)
    components = torch.distributions.StudentT(mixture.df, mixture.loc, mixture.scale)
    weights = torch.distributions.Categorical(logits=mixture.log_weight)
    expected = torch.distributions.MixtureSameFamily(weights, components)
    torch.testing.assert_close(mixture.log_density(x), expected.log_prob(x))
    torch.testing.assert_close(mixture.mean(), expected.mean)
    torch.testing.assert_close(mixture.variance(), expected.variance)


def test_samples_have_the_distribution() -> None:
    mixture = make_mixture(3)
    uniforms = torch.from_numpy(np.random.default_rng(0).random((20_000, 3, 3)))
    samples = mixture.sample(uniforms).numpy()
    for place in range(3):
        cdf = np.vectorize(lambda x, p=place: compute_cdf(mixture, p, x))
        assert stats.kstest(samples[::10, place], cdf).pvalue > 1e-3


def test_the_lowest_and_highest_noise_are_finite() -> None:
    mixture = make_mixture(2)
    ends = torch.tensor([0.0, 1 - 2**-24], dtype=torch.float64)
    noise = torch.cartesian_prod(ends, ends, ends)[:, None]
    assert mixture.sample(noise).isfinite().all()


def test_shifting_scales_everything() -> None:
    mixture = make_mixture(4)
    loc, scale = torch.arange(4.0).double(), torch.tensor([1.0, 2, 3, 4]).double()
    np.testing.assert_allclose(
        mixture.shifted(loc, scale).quantiles(LEVELS),
        loc.numpy()[:, None] + scale.numpy()[:, None] * mixture.quantiles(LEVELS),
        rtol=1e-4,
        atol=1e-5,
    )
