"""The parity tests of Toto 1.0 on configurations that no folder of reference arrays holds."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import tests.analysts.toto.test_parity_v1 as parity_v1
from tests.analysts.toto.parity import ONE_PASS, OWN, Case, require_close
from tests.analysts.toto.plain_v1 import PlainToto1, make_config, write_arrays

CONFIGURATIONS = {
    "space first": {"spacewise_first": True},
    "space layers only": {"spacewise_every_n_layers": 1, "num_layers": 1},
    "no space layers, another patch": {
        "spacewise_every_n_layers": -1,
        "patch_size": 4,
        "stride": 4,
        "num_heads": 4,
        "embed_dim": 24,
    },
    "space first, tight clamp": {
        "spacewise_first": True,
        "num_layers": 3,
        "num_heads": 1,
        "scale_factor_exponent": 0.05,
        "output_distribution_kwargs": {"k_components": 1},
    },
    "free scale": {"stabilize_with_global": False, "spacewise_first": True, "spacewise_every_n_layers": 3},
}


def make_cases(patch):
    rng = np.random.default_rng(5)
    cases = {}
    for name, groups in (("alone", [[0], [0]]), ("together", [[0, 0, 0]]), ("grouped", [[0, 0, 1]])):
        ids = torch.tensor(groups)
        steps = rng.normal(0, 1, (*ids.shape, 4 * patch)) * np.linspace(0.2, 3, 4 * patch)
        mask = torch.ones(steps.shape, dtype=torch.bool)
        mask[0, 0, : patch // 2] = False
        series = torch.from_numpy(np.cumsum(steps, axis=-1)).float()
        cases[name] = (series, mask, ids)
    return cases


@pytest.mark.parametrize("changes", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_every_configuration(tmp_path, changes) -> None:
    config = make_config(**changes)
    write_arrays(tmp_path / "toto1", config, make_cases(config["patch_size"]))
    for name in ("alone", "together", "grouped"):
        case = Case(tmp_path / "toto1", name)
        assert case.version == "1.0"
        parity_v1.test_padding_and_scaler(case)
        parity_v1.test_network(case)
        parity_v1.test_losses_and_gradients(case)


def test_the_tight_clamp_binds_and_depends_on_what_is_read() -> None:
    config = make_config(**CONFIGURATIONS["space first, tight clamp"])
    series, mask, _ = make_cases(config["patch_size"])["together"]
    plain, p = PlainToto1(config, {}), config["patch_size"]
    _, whole = plain.scale(series, mask)
    _, read = plain.scale(series[..., :-p], mask[..., :-p])
    assert (whole[..., :-p] - read).abs().max() > 0.1


@pytest.mark.parametrize("name", ["multi", "groups"])
def test_the_plain_network_is_the_reference(name) -> None:
    case = Case(OWN / "toto1", name)
    weights = load_file(case.folder / "model.safetensors")
    plain = PlainToto1(json.loads((case.folder / "config.json").read_text()), weights)
    ids = case["id_mask"][:1, :, -1]
    first = {part: case[part][:1] for part in ("series", "padding_mask", "scaled")}
    with torch.no_grad():
        hidden, parts = plain.forecast(first["scaled"], ids)
        require_close(hidden, case["hidden"][:1], ONE_PASS)
        for part, ours in parts.items():
            require_close(ours, case[f"mix_{part}"][:1], ONE_PASS)
        scale = plain.scale(first["series"], first["padding_mask"])[1]
        require_close(scale, case["scaler_scale"][:1], ONE_PASS, case["scaler_scale"][:1])
        losses = plain.compute_losses(case["series"], case["padding_mask"], case["id_mask"][..., -1])
        for ours, kind in zip(losses, ("nll", "robust", "combined"), strict=True):
            require_close(ours, case[f"loss_{kind}"], ONE_PASS)
