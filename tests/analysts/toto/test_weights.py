"""Folded constants against arithmetic written out, for variants without reference arrays; what loading refuses."""

import json

import pytest
import torch

from alfred.analysts.toto.config import Toto1Config, Toto2Config
from alfred.analysts.toto.networks import load_checkpoint, load_network, save_network
from alfred.analysts.toto.transformer import place_space_layers
from alfred.analysts.toto.v1.network import Toto1
from alfred.analysts.toto.v1.weights import import_weights_v1
from alfred.analysts.toto.v2.network import Toto2
from alfred.analysts.toto.v2.weights import import_network_v2, make_fresh_network_v2
from alfred.errors import CheckpointError
from alfred.learning.hub import resolve_checkpoint
from alfred.learning.tensors import read_tensors, write_tensors
from tests.analysts.toto.parity import OWN
from tests.analysts.toto.plain_v2 import PlainToto2, make_released_weights

BASE = {"patch_size": 4, "d_model": 16, "num_heads": 4, "num_layers": 4, "layer_group_size": 2}
VARIANTS = {
    "as released": {},
    "grouped queries": {"num_groups": 2, "qk_dim": 8, "v_dim": 6},
    "query and key norms": {"qk_norm": True},
    "weighted query and key norms": {"qk_norm": True, "qk_norm_include_weight": True},
    "query norms alone": {"qk_norm": True, "per_dim_scale": False},
    "weighted norms": {"norm_include_weight": True},
    "no xpos": {"use_xpos": False},
    "variates first": {"variate_layer_first": True, "num_variate_layers_per_group": 1},
    "other biases": {"attn_bias": False, "mlp_bias": True, "d_ff": 20},
}


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_folded_network_equals_the_written_out_one(variant) -> None:
    config = Toto2Config.model_validate({**BASE, **VARIANTS[variant]})
    weights = make_released_weights(config)
    network = import_network_v2(weights, config, "here").double()
    generator = torch.Generator().manual_seed(1)
    scaled = 3 * torch.randn(2, 3, 5, config.patch_size, generator=generator, dtype=torch.float64)
    # Every patch is partly observed, so that flags and zeros are used and the groups stay whole.
    observed = torch.rand(scaled.shape, generator=generator) < 0.7
    observed[..., 0] = True
    expected = PlainToto2(config, weights).forward(scaled, observed)
    # The weights passed through float32 on their way into the network.
    torch.testing.assert_close(network(scaled, observed), expected, rtol=2e-5, atol=2e-5)


def test_taus_of_the_config_follow_the_formula() -> None:
    config = Toto2Config.model_validate({**BASE, "residual_mult": 0.75})
    ratio = config.residual_attn_ratio
    mlp = 0.75 * (2 / (1 + ratio**2)) ** 0.5
    attention = ratio * mlp
    expected = [
        (
            attention / (4 + layer * attention**2 + layer * mlp**2) ** 0.5,
            mlp / (4 + (layer + 1) * attention**2 + layer * mlp**2) ** 0.5,
        )
        for layer in range(4)
    ]
    torch.testing.assert_close(torch.tensor(config.compute_taus()), torch.tensor(expected))


def test_published_sizes_have_the_published_parameters() -> None:
    with torch.device("meta"):
        large = Toto1(Toto1Config())
        small = Toto2(Toto2Config())
    assert sum(part.numel() for part in large.parameters()) == 151_306_080
    # Ours lacks what is folded away: a factor a layer and query channel.
    folded = small.config.num_layers * small.config.key_size
    assert sum(part.numel() for part in small.parameters()) + folded == 4_144_448


def test_heads_are_the_fast_axis_in_the_released_file() -> None:
    config = Toto1Config(
        patch_size=4, stride=4, embed_dim=8, num_layers=1, num_heads=2, mlp_hidden_dim=8, k_components=2
    )
    tensors, _ = read_tensors(OWN / "toto1" / "model.safetensors")
    joint = torch.arange(24.0)[:, None].expand(24, 8)
    heads = {n: t for n, t in tensors.items() if "output_distribution" in n}
    state = import_weights_v1({**heads, "model.transformer.layers.0.attention.wQKV.weight": joint}, config, "here")
    # Row part * 8 + channel * 2 + head of the file is row head * 4 + channel of each of ours.
    assert state["transformer.layers.0.attention.query.weight"][:, 0].tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    assert state["transformer.layers.0.attention.value.weight"][:, 0].tolist() == [16, 18, 20, 22, 17, 19, 21, 23]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((12, 12, 1, False), [11]),
        ((4, 2, 1, True), [0, 2]),
        ((6, 3, 2, False), [1, 2, 4, 5]),
        ((3, -1, 1, False), []),
    ],
)
def test_places_of_layers_across_variates(arguments, expected) -> None:
    assert [i for i, space in enumerate(place_space_layers(*arguments)) if space] == expected


@pytest.mark.parametrize("name", ["toto1", "toto2"])
def test_saved_network_comes_back(name, tmp_path) -> None:
    version = {"toto1": "1.0", "toto2": "2.0"}[name]
    network = load_checkpoint(resolve_checkpoint(OWN / name), version)
    save_network(network, tmp_path)
    restored = load_network(tmp_path, version)
    assert restored.config == network.config
    for (key, ours), theirs in zip(network.state_dict().items(), restored.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), key
    as_checkpoint = load_checkpoint(resolve_checkpoint(tmp_path), version)
    assert all(torch.equal(*pair) for pair in zip(network.parameters(), as_checkpoint.parameters(), strict=True))
    other = {"1.0": "2.0", "2.0": "1.0"}[version]
    with pytest.raises(CheckpointError, match=f"does not describe a Toto {other}|lacks"):
        load_network(tmp_path, other)


def test_fresh_weights_follow_from_the_seed() -> None:
    config = Toto2Config.model_validate(BASE)
    first, again, other = (make_fresh_network_v2(config, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first.embed.linear1.weight, again.embed.linear1.weight)
    assert not torch.equal(first.embed.linear1.weight, other.embed.linear1.weight)


def copy_checkpoint(tmp_path, name, *, change=None, drop=None, config=None):
    tensors, _ = read_tensors(OWN / name / "model.safetensors")
    write_tensors(tmp_path / "model.safetensors", {n: t for n, t in {**tensors, **(change or {})}.items() if n != drop})
    values = {**json.loads((OWN / name / "config.json").read_text()), **(config or {})}
    (tmp_path / "config.json").write_text(json.dumps(values))
    return resolve_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("toto1", {"drop": "model.unembed.bias"}, "lacks 'unembed.bias'"),
        ("toto1", {"drop": "model.output_distribution.df.bias"}, "lacks 'output_distribution.df.bias'"),
        ("toto1", {"change": {"model.target_variate_label": torch.ones(32)}}, "labels for exogenous variates"),
        ("toto1", {"change": {"model.surprise": torch.ones(1)}}, "holds 'surprise'"),
        ("toto1", {"config": {"stride": 4}}, "stride 4 must equal patch_size 8"),
        ("toto1", {"config": {"scaler_cls": "<class 'model.scaler.StdMeanScaler'>"}}, "only CausalPatchStdMeanScaler"),
        ("toto1", {"config": {"embed_dim": 64}}, "the config asks for"),
        ("toto2", {"drop": "transformer.layers.1.mlp_tau"}, "lacks 'transformer.layers.1.mlp_tau'"),
        ("toto2", {"change": {"transformer.surprise": torch.ones(1)}}, "holds 'transformer.surprise'"),
        ("toto2", {"config": {"d_ff": 96}}, "the config asks for"),
        ("toto2", {"config": {"pre_norm": False}}, "pre_norm = true"),
        ("toto2", {"config": {"num_groups": 3}}, "must be a multiple of num_groups 3"),
    ],
)
def test_wrong_checkpoints_are_refused(name, changes, message, tmp_path) -> None:
    version = {"toto1": "1.0", "toto2": "2.0"}[name]
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(copy_checkpoint(tmp_path, name, **changes), version)


def test_the_version_must_belong_to_the_checkpoint() -> None:
    with pytest.raises(CheckpointError, match=r"is a Toto 1\.0, but the settings say version '2\.0'"):
        load_checkpoint(resolve_checkpoint(OWN / "toto1"), "2.0")
