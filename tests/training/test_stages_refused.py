"""What a run refuses to go on with, and what it makes again: other settings, other packages, damaged files."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest

from alfred.config import ForecastSettings
from alfred.errors import CheckpointError, ConfigError
from alfred.training import pipeline
from alfred.training.provenance.cache import Shelf
from alfred.training.provenance.stages import describe_forecast
from tests.training.small import make_small, run_small, stamp


def test_a_report_of_other_settings_is_refused(root: Path) -> None:
    run = root / "runs" / "small"
    before = (run / "report.html").read_bytes()
    pipeline.forecast(make_small(root / "prices.csv", baselines=[{"kind": "trend"}]), root / "runs")
    with pytest.raises(CheckpointError, match="made from something else: the baselines changed; run `alfred evaluate"):
        pipeline.rewrite_report(pipeline.reopen(run))
    shorter = [{"kind": "naive", "horizons": [1], "context_length": 50}, {"kind": "momentum", "horizons": [1]}]
    pipeline.forecast(make_small(root / "prices.csv", analysts=shorter), root / "runs")
    with pytest.raises(CheckpointError, match="the signals of naive changed; `alfred run`"):
        pipeline.rewrite_report(pipeline.reopen(run))
    assert (run / "report.html").read_bytes() == before
    # The configuration of the run edited by hand, the signals as they were.
    pipeline.forecast(make_small(root / "prices.csv"), root / "runs")
    for changes, reason in (
        ({"analysts": shorter}, "the signals of naive in .* something else: its settings changed; `alfred run"),
        ({"forecast": {"min_train_days": 260, "refit_every_days": 90}}, "the signals of naive in .* the schedule"),
        ({"features": {"names": ["momentum_3_1"]}}, "holds other signals than the configuration names"),
    ):
        (run / "config.yaml").write_text(make_small(root / "prices.csv", **changes).to_yaml())
        with pytest.raises(CheckpointError, match=reason):
            pipeline.reopen(run)


@pytest.mark.slow
def test_new_versions_of_packages_compute_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, experiment = importlib.metadata.version, make_small(root / "prices.csv")
    version = {"torch": read("torch").partition("+")[0] + "+other", "pandas": "99.0"}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version.get(name) or read(name))
    assert run_small(root / "runs", experiment)[1].reasons == []  # another build, and a package that does not count
    pieces = stamp(root, "*.npy").keys()
    version["torch"] = "99.0"
    with pytest.raises(CheckpointError, match="something else: the versions of its packages changed"):
        pipeline.reopen(root / "runs" / "small")
    reason = "again, the versions of its packages changed"
    assert run_small(root / "runs", experiment, judge=False)[1].reasons == [
        f"analyst naive: forecast {reason}",
        f"analyst momentum: forecast {reason}",
        f"direct fold 0 seed 0: trained {reason}",
        f"direct fold 1 seed 0: trained {reason}",
    ]
    made = {name for name in stamp(root, "*.npy") if "/.cache/" in name} - pieces
    assert made  # pieces of the cache count their versions as well
    version["stable-baselines3"] = "99.0"  # no analyst has it
    assert [line.split(" ", 1)[0] for line in run_small(root / "runs", experiment, judge=False)[1].reasons] == [
        "direct",
        "direct",
    ]


def test_versions_stand_in_the_address() -> None:
    experiment = make_small(Path("prices.csv"))
    parts = describe_forecast("data", experiment.analysts[0], ForecastSettings())
    assert parts["packages"] == {
        name: importlib.metadata.version(name).partition("+")[0] for name in ("numpy", "torch")
    }


@pytest.mark.parametrize("text", ["null", "[1]", "7", "{"])
def test_a_damaged_manifest_is_written_again(root: Path, text: str) -> None:
    manifest = root / "runs" / "small" / "manifest.json"
    before = manifest.read_text()
    manifest.write_text(text)
    with pytest.raises(ConfigError, match=r"manifest.json .*; `alfred run .*` writes it again"):
        pipeline.reopen(root / "runs" / "small")
    _, lines, _ = run_small(root / "runs", make_small(root / "prices.csv"))
    assert (lines.begun, lines.reasons) == ([], [])
    assert manifest.read_text() == before


def test_a_piece_of_the_cache_that_is_an_archive_is_made_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, readable=True)
    piece = np.ones((2, 3, 1), dtype=np.float32)
    shelf.write("a", piece)
    found = shelf.read("a", piece.shape)
    assert found is not None
    np.testing.assert_array_equal(found, piece)
    with (tmp_path / "a.npy").open("wb") as file:
        np.savez(file, piece)
    assert shelf.read("a", piece.shape) is None
    for content in (b"PK\x03\x04 no archive", b"", b"\x93NUMPY\x01\x00v\x00{"):
        (tmp_path / "a.npy").write_bytes(content)
        assert shelf.read("a", piece.shape) is None


def test_a_fresh_run_through_a_link_keeps_the_link(root: Path) -> None:
    (root / "runs" / "small").rename(root / "elsewhere")
    (root / "runs" / "small").symlink_to(root / "elsewhere", target_is_directory=True)
    run_small(root / "runs", make_small(root / "prices.csv"), fresh=True, judge=False)
    assert (root / "runs" / "small").is_symlink()
    assert (root / "elsewhere" / "config.yaml").is_file()
