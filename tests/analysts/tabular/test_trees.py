"""The horizon ensemble: rounds chosen on purged data, one signal, its sign and its rank."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import norm, rankdata
from sklearn.ensemble import HistGradientBoostingRegressor

from alfred.analysts import make_analyst
from alfred.analysts.checks import check_analyst
from alfred.analysts.tabular.examples import make_examples, read_columns
from alfred.analysts.tabular.output import OutputRule
from alfred.analysts.tabular.settings import RidgeSettings, TreesSettings
from alfred.data.contexts import make_contexts
from alfred.data.synthetic import make_noise_market
from tests.analysts.tabular.worlds import make_bent_world, make_column_world, measure_ic
from tests.conftest import make_random_market

BRIEF = TreesSettings(context_length=40, horizons=(1, 5), n_rounds=20, min_samples_leaf=40)
MARKET = make_random_market(500)
BENT, BENT_TRUTH = make_bent_world(1700)


def change(**changes: object) -> TreesSettings:
    return TreesSettings.model_validate({**BRIEF.model_dump(), **changes})


def forecast(settings: TreesSettings, market=BENT):
    analyst = make_analyst(settings).fit(market.until(market.dates[799]))
    rows = np.repeat(np.arange(800, 1000, 10), market.n_symbols)
    columns = np.tile(np.arange(market.n_symbols), 20)
    return analyst, analyst.predict(
        make_contexts(market, rows, columns, length=settings.context_length, fields=analyst.fields)
    )


@pytest.fixture(scope="module")
def plain():
    return forecast(BRIEF)


def test_the_contract_with_everything_on() -> None:
    settings = change(n_members=2, horizon_weights=(1, 2), invert=True, output="ranking")
    # Where there is something to find, so that trees are grown.
    check_analyst(lambda: make_analyst(settings), BENT.until(BENT.dates[799]))


def test_rounds_and_trees_are_those_of_sklearn_on_the_purged_split(plain) -> None:
    analyst, _ = plain
    examples = make_examples(BENT.until(BENT.dates[799]), BRIEF, analyst.fields, partial(read_columns, settings=BRIEF))
    train, validation = examples.train, examples.validation
    seed = int(np.random.SeedSequence(0).generate_state(1)[0])
    options = {
        "learning_rate": 0.05,
        "max_leaf_nodes": 8,
        "min_samples_leaf": 40,
        "l2_regularization": 1.0,
        "max_features": 0.5,
        "max_bins": 64,
        "early_stopping": False,
        "random_state": seed,
    }
    counts = []
    for position in range(2):
        label = examples.labels[:, position]
        model = HistGradientBoostingRegressor(max_iter=20, **options).fit(examples.values[train], label[train])
        stages = [np.full(len(validation), label[train].mean()), *model.staged_predict(examples.values[validation])]
        errors = [np.mean((label[validation] - stage) ** 2) for stage in stages]
        counts.append(int(np.argmin(errors)))
        assert analyst.forests_[position][0].n_trees == counts[-1]
        assert analyst.spread_[position] == pytest.approx(np.sqrt(min(errors)), rel=1e-9)
        if counts[-1]:
            again = HistGradientBoostingRegressor(max_iter=counts[-1], **options).fit(examples.values, label)
            np.testing.assert_array_equal(
                analyst.forests_[position][0].predict(examples.values), again.predict(examples.values)
            )
    assert max(counts) > 0


def test_members_are_averaged_and_differ() -> None:
    market = BENT.until(BENT.dates[799])
    analyst = make_analyst(change(n_members=3)).fit(market)
    values = make_examples(market, BRIEF, analyst.fields, partial(read_columns, settings=BRIEF)).values[:50]
    members = [member.predict(values) for member in analyst.forests_[0]]
    assert np.ptp(members, axis=0).max() > 1e-3
    np.testing.assert_allclose(analyst._sum(values)[:, 0], np.mean(members, axis=0), rtol=1e-12)


def test_inverted_forecasts_are_the_others_with_the_sign_switched(plain) -> None:
    analyst, inverted = forecast(change(invert=True))
    np.testing.assert_array_equal(inverted.mean, -plain[1].mean)
    assert any("trees is inverted" in note for note in analyst.notes)
    # The spread is that of what is said: of the inverted forecast it is the larger one.
    assert analyst.spread_[0] > plain[0].spread_[0]


def test_a_ranking_keeps_the_order_and_loses_level_and_outliers(plain) -> None:
    _, ranked = forecast(change(output="ranking"))
    for position in range(2):
        before, after = plain[1].mean[:, position], ranked.mean[:, position]
        inside = (after > after.min()) & (after < after.max())
        np.testing.assert_array_equal(rankdata(before)[inside], rankdata(after)[inside])
        assert abs(after.mean()) < after.std() / 2


def make_forecasts(n_rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(n_rows, 1))
    forecasts = 0.3 + np.array([0.1, 0.05]) * (shared + rng.normal(size=(n_rows, 2)))
    return forecasts, 0.01 * np.exp(0.3 * rng.normal(size=(n_rows, 1))) * np.sqrt([1.0, 5.0])


def test_a_shared_signal_is_the_weighted_mean_of_standard_scores() -> None:
    forecasts, scales = make_forecasts()
    rule = OutputRule.fit(change(horizon_weights=(1, 3)), forecasts, scales)
    fresh, fresh_scales = forecasts[:7] + 0.02, scales[:7]
    scores = (fresh - forecasts.mean(axis=0)) / forecasts.std(axis=0)
    signal = 0.25 * scores[:, 0] + 0.75 * scores[:, 1]
    expected = forecasts.mean(axis=0) + forecasts.std(axis=0) * signal[:, None]
    np.testing.assert_allclose(rule.apply(fresh, fresh_scales), expected * fresh_scales, rtol=1e-12)
    # All weight on one horizon leaves that one as it is.
    alone = OutputRule.fit(change(horizon_weights=(0, 2)), forecasts, scales)
    np.testing.assert_allclose(alone.apply(fresh, fresh_scales)[:, 1], (fresh * fresh_scales)[:, 1], rtol=1e-12)


def test_a_horizon_that_forecasts_nothing_adds_nothing() -> None:
    forecasts, scales = make_forecasts()
    forecasts[:, 0] = 0.1
    rule = OutputRule.fit(change(horizon_weights=(1, 1)), forecasts, scales)
    expected = forecasts.mean(axis=0)[1] + (forecasts[:, 1] - forecasts.mean(axis=0)[1]) / 2
    means = rule.apply(forecasts, scales) / scales
    np.testing.assert_allclose(means[:, 1], expected, rtol=1e-9)
    np.testing.assert_allclose(means[:, 0], 0.1, rtol=1e-9)


def test_ranks_are_normal_scores_against_the_training_forecasts() -> None:
    forecasts, scales = make_forecasts()
    rule = OutputRule.fit(change(output="ranking"), forecasts, scales)
    returns = forecasts * scales
    scores = rule.apply(forecasts, scales) / returns.std(axis=0)
    for position in range(2):
        expected = norm.ppf((rankdata(returns[:, position]) - 0.5) / len(returns))
        # The distribution is kept at 256 points.
        middle = np.abs(expected) < 2.0
        np.testing.assert_allclose(scores[middle, position], expected[middle], atol=0.03)
        assert scores[:, position].std() == pytest.approx(1.0, abs=0.02)
    # Against the past, not the batch: a batch of the best is all high, and each is alike on its own.
    best = np.argsort(returns[:, 0])[-5:]
    together = rule.apply(forecasts[best], scales[best])
    assert (together[:, 0] > 2 * returns[:, 0].std()).all()
    for place, row in enumerate(best):
        np.testing.assert_array_equal(rule.apply(forecasts[[row]], scales[[row]])[0], together[place])


def test_nothing_is_found_in_noise() -> None:
    market = make_noise_market(n_days=2000, n_assets=8).market
    settings = TreesSettings(context_length=40, horizons=(1,))
    t, _ = measure_ic(settings, market, 1300, None)
    assert abs(t) < 3


def test_a_forecast_without_trees_says_so() -> None:
    # Sixty windows in a leaf at least, of which there are fewer.
    analyst = make_analyst(change(min_samples_leaf=10_000)).fit(MARKET)
    assert [members[0].n_trees for members in analyst.forests_] == [0, 0]
    assert "found no tree that helped on its validation part at horizon 1, 5" in analyst.notes[0]


def test_the_planted_signal_is_recovered_as_a_column() -> None:
    market, truth = make_column_world(3000)
    settings = TreesSettings(context_length=40, horizons=(1,), columns=tuple(market.extras))
    t, share = measure_ic(settings, market, 2000, truth)
    assert t > 5
    assert share > 0.8


def test_what_is_bent_is_seen_by_trees_and_less_by_a_line() -> None:
    market, truth = make_bent_world(3000, seed=1)
    _, share = measure_ic(TreesSettings(context_length=40, horizons=(1,)), market, 2000, truth)
    _, line = measure_ic(RidgeSettings(context_length=40, horizons=(1,)), market, 2000, truth)
    assert share > 0.8
    assert line < 0.7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon_weights": (1,)}, r"horizon_weights has 1 numbers for 2 horizons \(1, 5\)"),
        ({"horizon_weights": (1, -1)}, "must not be negative"),
        ({"horizon_weights": (0, 0)}, "one must be above zero"),
        ({"columns": ("close",)}, "column 'close' has a unit"),
        ({"output": "rank"}, "'return' or 'ranking'"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message) -> None:
    with pytest.raises(ValidationError, match=message):
        change(**changes)


def test_a_column_that_begins_late_is_read_from_then_on() -> None:
    late = np.where(np.arange(MARKET.n_dates)[:, None] >= int(0.95 * MARKET.n_dates), MARKET.close, np.nan)
    market = replace(MARKET, extras={"macro": late})
    analyst = make_analyst(BRIEF.model_copy(update={"columns": ("macro",)})).fit(market)
    assert "macro" in analyst.names_


@pytest.mark.parametrize("name", ["market_level", "sector_level"])
def test_an_index_that_counts_from_the_first_session_is_no_column(name) -> None:
    with pytest.raises(ValidationError, match="counts from the first session"):
        TreesSettings(columns=(name,))
