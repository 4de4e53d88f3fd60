"""EMA against its closed form."""

import pytest
import torch
from torch import nn

from pathosynth.diffusion.ema import Ema
from pathosynth.runs.errors import ConfigError, ModelError


def model_with(value: float) -> nn.Module:
    model = nn.Linear(3, 2)
    nn.init.constant_(model.weight, value)
    nn.init.constant_(model.bias, -value)
    return model


def test_constant_decay_gives_the_geometric_sum():
    """average_n = d^n w_0 + (1 - d) sum_k d^(n - 1 - k) w_k."""
    decay, weights = 0.9, [5.0, -1.0, 2.0, 4.0]
    ema = Ema(model_with(3.0), decay, warmup=0)
    for w in weights:
        ema.update(model_with(w))
    n = len(weights)
    expected = decay**n * 3.0 + (1 - decay) * sum(decay ** (n - 1 - k) * w for k, w in enumerate(weights))
    assert ema.tensors["weight"].mean().item() == pytest.approx(expected, rel=1e-6)
    assert ema.tensors["bias"].mean().item() == pytest.approx(-expected, rel=1e-6)


def test_warmup_follows_its_formula_and_forgets_the_start():
    ema, expected = Ema(model_with(100.0), 0.999, warmup=10), 100.0
    for k in range(500):
        ema.update(model_with(1.0))
        decay = min(0.999, (1 + k) / (10 + k))
        expected = decay * expected + (1 - decay) * 1.0
    assert ema.tensors["weight"].mean().item() == pytest.approx(expected, rel=1e-4)
    # Without warm-up the random start would still count for 0.999^500 = 61 %.
    assert ema.tensors["weight"].mean().item() < 1.001


def test_half_precision_weights_are_averaged_in_float32():
    model = model_with(1.0).bfloat16()
    ema = Ema(model, 0.999, warmup=0)
    nn.init.constant_(model.weight, 2.0)
    for _ in range(10):
        ema.update(model)
    # In bfloat16, 1 + 0.001 rounds back to 1 and nothing would ever move.
    assert ema.tensors["weight"].mean().item() == pytest.approx(2 - 0.999**10, rel=1e-6)
    ema.copy_to(model)
    assert model.weight.dtype == torch.bfloat16
    assert model.weight.float().mean().item() == pytest.approx(2 - 0.999**10, rel=4e-3)


def test_buffers_are_copied_and_the_model_is_not_touched():
    model = nn.BatchNorm1d(2)
    ema = Ema(model, 0.5, warmup=0)
    model(torch.randn(64, 2, generator=torch.Generator().manual_seed(0)) + 7)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ema.update(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(ema.tensors["running_mean"], model.running_mean)
    assert ema.tensors["num_batches_tracked"].item() == 1


def test_saved_average_goes_on_as_if_never_stopped():
    straight, resumed = Ema(model_with(0.0), 0.99), Ema(model_with(0.0), 0.99)
    for w in (1.0, 2.0, 3.0):
        straight.update(model_with(w))
    saved = {name: value.clone() for name, value in straight.state_dict().items()}
    resumed.load_state_dict(saved, straight.updates)
    for ema in (straight, resumed):
        ema.update(model_with(9.0))
    assert torch.equal(straight.tensors["weight"], resumed.tensors["weight"])


def test_wrong_settings_and_foreign_weights_are_refused():
    with pytest.raises(ConfigError, match=r"1\.0"):
        Ema(model_with(0.0), 1.0)
    with pytest.raises(ModelError, match="bias, weight"):
        Ema(model_with(0.0), 0.9).load_state_dict(nn.Linear(4, 5).state_dict(), 0)
