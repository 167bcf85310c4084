"""Each symbol forecast by its own best analyst, and the files that say which."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import ValidationError
from scipy.special import ndtri

from alfred.analysts.chosen.analyst import RegistryAnalyst, bring_to_levels
from alfred.analysts.chosen.entries import BestEntry, Scores, read_entries
from alfred.analysts.chosen.settings import RegistrySettings
from alfred.analysts.forecast import DEFAULT_LEVELS
from alfred.analysts.registry import make_analyst
from alfred.analysts.settings import MomentumSettings, NaiveSettings
from alfred.analysts.tabular.settings import RidgeSettings
from alfred.data.contexts import make_contexts
from alfred.errors import CheckpointError, ConfigError
from tests.conftest import make_random_market

MARKET = make_random_market(400)
RIDGE = RidgeSettings(context_length=40, horizons=(5,))
MOMENTUM = MomentumSettings(horizons=(1, 5))


def make_entry(symbol: str, settings: object, **changes: object) -> BestEntry:
    scores = Scores(
        mae_pct=1.0, naive_mae_pct=1.1, price_mae=2.0, n_windows=50, first=date(2011, 1, 3), last=date(2011, 3, 1)
    )
    raw = {
        "symbol": symbol,
        "analyst": settings.model_dump(mode="json"),  # type: ignore[attr-defined]
        "validation": scores,
        "study": f"analysts.{symbol}@abc",
        "trial": 3,
        "n_trials": 7,
        "fingerprint": {"data": "1", "code": "2"},
        "created": "2011-04-01T00:00:00+00:00",
    }
    return BestEntry.model_validate(raw | changes)


def test_each_symbol_is_forecast_by_its_own_analyst(tmp_path: Path) -> None:
    make_entry("S0", RIDGE).write(tmp_path)
    make_entry("S1", MOMENTUM).write(tmp_path)
    settings = RegistrySettings.model_validate({"path": str(tmp_path)})
    assert (settings.horizons, settings.context_length, settings.n_looks) == ((5,), 253, 14)
    analyst = RegistryAnalyst(settings).fit(MARKET)
    rows, columns = np.full(4, 399), np.arange(4)
    found = analyst.predict(make_contexts(MARKET, rows, columns, length=253, fields=analyst.fields))
    for column, told in enumerate((RIDGE, MOMENTUM, NaiveSettings(horizons=(5,)), NaiveSettings(horizons=(5,)))):
        alone = make_analyst(told).fit(MARKET)
        window = make_contexts(
            MARKET, rows[:1], columns[column : column + 1], length=told.context_length, fields=alone.fields
        )
        expected = alone.predict(window)
        np.testing.assert_array_equal(found.mean[column], expected.mean[0, [expected.horizons.index(5)]])
    assert any("S2, SPY: naive persistence" in note for note in analyst.notes)


def test_sessions_on_which_they_were_chosen_are_no_test(tmp_path: Path) -> None:
    make_entry("S0", RIDGE).write(tmp_path)
    holdout = make_entry("S1", MOMENTUM).validation.model_copy(update={"last": date(2011, 9, 1)})
    make_entry("S1", MOMENTUM, holdout=holdout).write(tmp_path)
    analyst = RegistryAnalyst(RegistrySettings.model_validate({"path": str(tmp_path)}))
    assert str(analyst.knowledge_cutoff.date()) == "2011-09-01"


@pytest.mark.parametrize(
    "told", [{"horizons": 5}, {"horizons": None}, {"horizons": [[6]]}, {"chosen": 5}, {"path": "~nobodyhere/x"}]
)
def test_wrong_types_are_a_clear_refusal(tmp_path: Path, told: dict[str, object]) -> None:
    make_entry("S0", RIDGE).write(tmp_path)
    with pytest.raises(ValidationError):
        RegistrySettings.model_validate({"path": str(tmp_path), **told})


def test_stored_settings_do_not_change_with_the_folder(tmp_path: Path) -> None:
    make_entry("S0", RIDGE).write(tmp_path)
    settings = RegistrySettings.model_validate({"path": str(tmp_path)})
    (tmp_path / "S0.yaml").unlink()
    assert RegistrySettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(("horizons", "text"), [([5, 20], "all forecast"), ([1], "all forecast")])
def test_horizons_that_not_all_forecast_are_refused(tmp_path: Path, horizons: list[int], text: str) -> None:
    make_entry("S0", RIDGE).write(tmp_path)
    make_entry("S1", MOMENTUM).write(tmp_path)
    with pytest.raises(ValidationError, match=text):
        RegistrySettings.model_validate({"path": str(tmp_path), "horizons": horizons})


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="holds no best analyst of any symbol"):
        RegistrySettings.model_validate({"path": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1, 2]", "must be a mapping"),
        ("{", "flow node"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
    ],
)
def test_a_damaged_entry_is_one_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "S0.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=rf"S0\.yaml does not hold the best analyst.*{reason}") as caught:
        read_entries(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_entry_under_another_name_is_refused(tmp_path: Path) -> None:
    path = make_entry("S0", RIDGE).write(tmp_path)
    path.rename(tmp_path / "S1.yaml")
    with pytest.raises(CheckpointError, match="holds the entry of S0"):
        read_entries(tmp_path)


def test_an_entry_whose_settings_are_wrong_is_refused(tmp_path: Path) -> None:
    path = make_entry("S0", RIDGE).write(tmp_path)
    raw = yaml.safe_load(path.read_text())
    raw["analyst"]["context_length"] = 3
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(CheckpointError, match="context_length"):
        read_entries(tmp_path)


@pytest.mark.parametrize("symbol", ["../S0", "a/b", "", "CON", ".x"])
def test_a_symbol_that_leads_out_of_the_folder_is_refused(symbol: str) -> None:
    with pytest.raises((ValidationError, ConfigError), match="cannot be the name of this symbol"):
        make_entry(symbol, RIDGE)


def test_levels_of_a_normal_are_met_exactly() -> None:
    deciles = tuple(n / 10 for n in range(1, 10))
    quantiles = 0.3 + 2 * ndtri(np.asarray(deciles))
    found = bring_to_levels(quantiles[None], deciles)
    np.testing.assert_allclose(found[0], 0.3 + 2 * ndtri(np.asarray(DEFAULT_LEVELS)), rtol=1e-12)
    assert bring_to_levels(np.array([[0.4]]), (0.5,)).tolist() == [[0.4] * len(DEFAULT_LEVELS)]
