from __future__ import annotations

import json
import re

import pytest
import torch
from torch.nn import functional

from alfred.analysts.kronos.checkpoint import load_pair
from alfred.analysts.kronos.decoding.sampling import filter_logits
from alfred.analysts.kronos.model import compute_token_loss
from alfred.analysts.kronos.quantizer import compute_bits, make_codes, pack_bits
from tests.analysts.kronos.parity import FOLDERS, Parity, name_folder

pytestmark = pytest.mark.parametrize("parity", FOLDERS, ids=name_folder)


def assert_close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(ours, theirs.to(ours.dtype), atol=tolerance, rtol=tolerance)


@torch.no_grad()
def test_tokenizer(parity: Parity) -> None:
    tokenizer, arrays = parity.pair.tokenizer, parity.modules
    presign = tokenizer.compute_presign(arrays["tok_x"])
    assert_close(presign, arrays["tok_presign"])
    bits = compute_bits(presign)
    assert torch.equal(pack_bits(bits), arrays["tok_full"])
    assert_close(make_codes(bits, tokenizer.settings.n_bits), arrays["tok_quantized"])
    s1, s2 = tokenizer.encode(arrays["tok_x"])
    assert torch.equal(s1, arrays["tok_s1"])
    assert torch.equal(s2, arrays["tok_s2"])
    assert_close(tokenizer.decode(s1, s2), arrays["tok_decode"])
    assert_close(tokenizer.decode(arrays["dec_s1"], arrays["dec_s2"]), arrays["dec_out"])
    output = tokenizer(arrays["tok_x"])
    assert_close(output.coarse, arrays["tok_recon_s1"])
    assert_close(output.full, arrays["tok_recon"])
    assert_close(output.quantizer_loss, arrays["tok_bsq_loss_eval"], 1e-6)


@torch.no_grad()
def test_model_in_eval_mode(parity: Parity) -> None:
    model, arrays = parity.pair.model, parity.modules
    ids = arrays["lm_s1"], arrays["lm_s2"]
    for stamps, name in ((arrays["lm_stamp"], "tf"), (None, "nostamp")):
        logits = model(*ids, stamps, arrays["lm_targets"])
        assert_close(logits[0], arrays[f"lm_{name}_logits_s1"], 1e-4)
        assert_close(logits[1], arrays[f"lm_{name}_logits_s2"], 1e-4)
    logits_s1, context = model.decode_s1(*ids, arrays["lm_stamp"])
    assert_close(logits_s1, arrays["lm_decode_s1"], 1e-4)
    assert_close(context, arrays["lm_context"])
    for pick, name in ((arrays["lm_pick"], "one"), (arrays["lm_targets"], "all")):
        logits_s2 = model.decode_s2(arrays["lm_context"], pick, causal=False)
        assert_close(logits_s2, arrays[f"lm_decode_s2_{name}"], 1e-4)


@torch.no_grad()
def test_loss_in_eval_mode(parity: Parity) -> None:
    model, arrays = parity.pair.model, parity.modules
    ids = arrays["lm_s1"], arrays["lm_s2"]
    logits = model(*ids, arrays["lm_stamp"], arrays["lm_targets"])
    losses = compute_token_loss((logits[0][:, :-1], logits[1][:, :-1]), (ids[0][:, 1:], ids[1][:, 1:]))
    assert_close(torch.stack(losses), arrays["lm_loss"])


def test_loss_and_gradients_in_train_mode(parity: Parity) -> None:
    arrays = parity.modules
    if "lm_train_loss" not in arrays:
        pytest.skip("this folder has dropout, so that nothing is reproducible in train mode")
    pair = load_pair(parity.folder)
    pair.model.train()
    pair.tokenizer.train()
    ids = arrays["lm_s1"], arrays["lm_s2"]
    logits = pair.model(*ids, arrays["lm_stamp"], arrays["lm_targets"])
    assert_close(logits[0].detach(), arrays["lm_train_logits_s1"], 1e-4)
    assert_close(logits[1].detach(), arrays["lm_train_logits_s2"], 1e-4)
    losses = compute_token_loss((logits[0][:, :-1], logits[1][:, :-1]), (ids[0][:, 1:], ids[1][:, 1:]))
    assert_close(torch.stack(losses).detach(), arrays["lm_train_loss"])
    losses[0].backward()

    x = arrays["tok_x"]
    output = pair.tokenizer(x)
    parts = functional.mse_loss(output.coarse, x), functional.mse_loss(output.full, x), output.quantizer_loss
    assert_close(torch.stack(parts).detach(), arrays["tok_train_losses"])
    loss = pair.tokenizer.compute_loss(x)
    assert_close(loss.detach(), arrays["tok_train_losses"].sum() / 2)
    loss.backward()

    norms = json.loads((parity.folder / "grad_norms.json").read_text())
    for name, network in (("model", pair.model), ("tokenizer", pair.tokenizer)):
        ours = {key: float(value.grad.norm()) for key, value in network.named_parameters() if value.grad is not None}
        assert ours == pytest.approx({key: norms[name][key] for key in ours}, rel=1e-4, abs=1e-6)
        assert set(ours) == set(norms[name])


def test_filters(parity: Parity) -> None:
    arrays = parity.modules
    cases = [match for name in arrays if (match := re.fullmatch(r"filter_k(\d+)_p([\d.]+)", name))]
    assert cases
    for case in cases:
        filtered = filter_logits(arrays["filter_in"], int(case.group(1)), float(case.group(2)))
        assert torch.equal(filtered, arrays[case.group(0)])
