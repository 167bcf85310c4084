"""Code of one's own that fails, or returns what it should not, is told in one line that names it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfred.analysts.forecast import Forecast
from alfred.analysts.naive import NaiveAnalyst
from alfred.analysts.settings import NaiveSettings
from alfred.data import SOURCES, DataSettings, Market, Source, load_market
from alfred.data.contexts import Contexts
from alfred.errors import ConfigError, DataError, SignalError
from alfred.plugins import VARIABLE, describe_plugins, load_plugins
from alfred.training.pieces import predict_rows
from tests.conftest import make_random_market


class Failing(Source):
    error: BaseException = KeyError("oops")

    def load(self) -> Market:
        raise self.error


@pytest.mark.parametrize(
    ("error", "text"),
    [(KeyError("oops"), "KeyError: 'oops'"), (ConnectionError("no\nroute"), "no route"), (SystemExit(3), "SystemExit")],
)
def test_a_source_that_fails_is_named(error: BaseException, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failing, "error", error)
    SOURCES.register(Failing, "failing")
    try:
        with pytest.raises(DataError, match=f"source 'failing' cannot be loaded: .*{text}"):
            load_market(DataSettings(source="failing"))
    finally:
        del SOURCES["failing"]


class Odd(NaiveAnalyst):
    fault = ""

    def predict(self, contexts: Contexts) -> Any:
        forecast = super().predict(contexts)
        if self.fault == "type":
            return np.zeros(3)
        if self.fault == "shape":
            return Forecast(forecast.horizons, forecast.levels, forecast.mean[:-1], forecast.quantiles[:-1])
        if self.fault == "nan":
            nothing = np.full_like(forecast.mean, np.nan)
            return Forecast(forecast.horizons, forecast.levels, nothing, forecast.quantiles * np.nan)
        return forecast


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("type", "predict of 'naive' must return a Forecast, got ndarray"),
        ("shape", r"predict of 'naive' returned means of shape \(\d+, 1\): \d+ windows"),
        ("nan", "'naive' forecasts no number"),
    ],
)
def test_an_analyst_that_returns_something_else_is_named(fault: str, text: str) -> None:
    market = make_random_market(120, 4)
    analyst = Odd(NaiveSettings(horizons=(1,))).fit(market)
    rows = np.arange(100, 110)
    assert predict_rows(analyst, market, rows) is not None
    analyst.fault = fault
    with pytest.raises(SignalError, match=text):
        predict_rows(analyst, market, rows)


@pytest.mark.parametrize("name", ["colorsys", "scipy"])
def test_a_plugin_with_the_name_of_a_library_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / f"{name}.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match=f"a module called '{name}' is installed; give the file another name"):
        load_plugins([str(tmp_path / f"{name}.py")])


def test_the_digest_of_a_package_covers_its_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package_of_test"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(VARIABLE, "")
    digests = []
    for text in ("K = 1\n", "K = 2\n", "K = 1\n"):
        (package / "deep" / "part.py").write_text(text)
        load_plugins(["package_of_test"])
        (described,) = describe_plugins()
        digests.append(described["sha256"])
    sys.modules.pop("package_of_test", None)
    assert described["name"] == "package_of_test"
    assert digests[0] == digests[2] != digests[1]
