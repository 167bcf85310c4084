"""A linear model that is silent unless its gain is credible."""

from __future__ import annotations

import numpy as np
import pytest

from alfred.analysts.tabular.quiet import measure_gain


def test_the_standard_error_is_that_of_statsmodels() -> None:
    sm = pytest.importorskip("statsmodels.api", reason="the extra 'macro' is not installed")
    rng = np.random.default_rng(0)
    daily = 0.3 + np.convolve(rng.normal(size=309), np.ones(10) / 10, "valid")
    found = measure_gain(daily, np.arange(300), 20)
    fit = sm.OLS(daily, np.ones(300)).fit(cov_type="HAC", cov_kwds={"maxlags": 19, "use_correction": False})
    assert found == pytest.approx(fit.tvalues[0], rel=1e-9)


def test_symbols_of_a_day_count_once() -> None:
    daily = np.random.default_rng(1).normal(0.1, 1.0, 200)
    once = measure_gain(daily, np.arange(200), 1)
    # Twenty symbols that say the same know no more than one.
    assert measure_gain(np.repeat(daily, 20), np.repeat(np.arange(200), 20), 1) == pytest.approx(once, rel=1e-9)


def test_what_cannot_be_measured_is_unknown() -> None:
    assert np.isnan(measure_gain(np.zeros(100), np.arange(100), 1))
    assert np.isnan(measure_gain(np.arange(10.0), np.arange(10), 1))
