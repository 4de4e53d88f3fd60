"""The training loop: against a loop written by hand, pure in step and slot, stopping on what is not finite."""

import copy

import pytest
import tiny_training
import torch
from torch import nn

from pathosynth.diffusion.ema import Ema
from pathosynth.diffusion.loop import case_names, train_steps
from pathosynth.runs.errors import ConfigError, TrainingError


def run(model, *, optimizer=None, **settings):
    optimizer = optimizer or torch.optim.AdamW(model.parameters())
    settings = {"learning_rate": tiny_training.learning_rate, "steps": 4, "seed": 5, **settings}
    return list(train_steps(model, optimizer, tiny_training.batch_at, tiny_training.loss_of, **settings))


def weights(model: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def pull_to_batch(model, batch, draws):
    """Squared distance to the batch's mean: its gradient is known."""
    return (model.weight - batch["image"].mean()).square().sum()


def test_plain_gradient_descent_follows_the_pencil():
    """The weight goes to w - rate(step) * mean over slots of 2 (w - m_slot), with two slots and a rate that changes."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 3.0)
    results, w = [], 3.0
    for result in train_steps(
        model, torch.optim.SGD(model.parameters(), lr=9.0), tiny_training.batch_at, pull_to_batch,
        steps=5, learning_rate=tiny_training.learning_rate, accumulate=2,
    ):  # fmt: skip
        means = [float(tiny_training.batch_at(result.step - 1, slot)["image"].mean()) for slot in range(2)]
        gradient = sum(2 * (w - m) for m in means) / 2
        assert result.loss == pytest.approx(sum((w - m) ** 2 for m in means) / 2, rel=1e-5)
        assert result.grad_norm == pytest.approx(abs(gradient), rel=1e-5)
        assert result.learning_rate == tiny_training.learning_rate(result.step - 1)
        w -= tiny_training.learning_rate(result.step - 1) * gradient
        assert model.weight.item() == pytest.approx(w, rel=1e-5)
        results.append(result.step)
    assert results == [1, 2, 3, 4, 5]


def test_gradient_is_clipped_after_it_is_reported():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 100.0)
    (result,) = train_steps(
        model, torch.optim.SGD(model.parameters(), lr=1.0), tiny_training.batch_at, pull_to_batch,
        steps=1, learning_rate=lambda step: 1.0, gradient_clip=0.5,
    )  # fmt: skip
    assert result.grad_norm > 100
    assert model.weight.item() == pytest.approx(99.5, rel=1e-4)


def test_resuming_in_the_middle_is_bitwise_the_same_with_dropout():
    straight = tiny_training.build(dropout=0.5)
    first = copy.deepcopy(straight)
    whole = run(straight, steps=6)
    optimizer = torch.optim.AdamW(first.parameters())
    torch.manual_seed(123)
    parts = run(first, optimizer=optimizer, steps=2)
    torch.rand(17)  # whatever else draws from the global generator in between
    parts += run(first, optimizer=optimizer, start_step=2, steps=6)
    assert [(r.step, r.loss, r.grad_norm) for r in parts] == [(r.step, r.loss, r.grad_norm) for r in whole]
    assert torch.equal(weights(first), weights(straight))


def test_global_random_state_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(5)
    torch.manual_seed(1)
    run(tiny_training.build(dropout=0.5))
    torch.manual_seed(1)
    steps = train_steps(
        tiny_training.build(0.5), torch.optim.SGD([nn.Parameter(torch.zeros(1))]), tiny_training.batch_at,
        tiny_training.loss_of, steps=1, learning_rate=lambda step: 0.0,
    )  # fmt: skip
    torch.manual_seed(1)
    next(steps)
    assert torch.equal(torch.rand(5), expected)


def test_seed_step_and_slot_each_change_the_noise():
    seen = []

    def loss_of(model, batch, draws):
        seen.append(float(torch.rand((), generator=draws)))
        return model.weight.square().sum()

    for seed in (0, 1):
        model = nn.Linear(1, 1)
        list(
            train_steps(
                model, torch.optim.SGD(model.parameters()), tiny_training.batch_at, loss_of, steps=3, seed=seed,
                learning_rate=lambda step: 0.0, accumulate=2,
            )
        )  # fmt: skip
    assert len(set(seen)) == len(seen) == 12


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_it_reaches_the_weights(where):
    model = tiny_training.build()
    after_step = {0: weights(model)}

    def loss_of(model, batch, draws):
        loss = tiny_training.loss_of(model, batch, draws)
        if "case-2-1-0" not in batch["cases"]:
            return loss
        # sqrt(0) is 0 and its slope is infinite.
        return loss * float("nan") if where == "loss" else loss + (model[0].weight * 0).abs().sum().sqrt()

    steps = train_steps(
        model, torch.optim.AdamW(model.parameters()), tiny_training.batch_at, loss_of, steps=9,
        learning_rate=tiny_training.learning_rate, accumulate=2,
    )  # fmt: skip
    with pytest.raises(TrainingError, match=r"Step 2: .*nan.*case-2-0-0, case-2-0-1, case-2-1-0, case-2-1-1"):
        after_step.update((result.step, weights(model)) for result in steps)
    assert list(after_step) == [0, 1, 2]
    assert torch.equal(weights(model), after_step[2])


def test_ema_sees_every_step():
    model = tiny_training.build(dropout=0.0)
    ema, expected = Ema(model, 0.5, warmup=0), weights(model)
    optimizer = torch.optim.AdamW(model.parameters())
    for step in range(4):
        run(model, optimizer=optimizer, start_step=step, steps=step + 1, ema=ema)
        expected = 0.5 * expected + 0.5 * weights(model)
    copied = tiny_training.build()
    ema.copy_to(copied)
    torch.testing.assert_close(weights(copied), expected, rtol=1e-6, atol=1e-7)


def test_bf16_computes_in_bf16_and_keeps_float32_weights():
    seen = []

    def loss_of(model, batch, draws):
        seen.append(model[0](batch["image"]).dtype)
        return tiny_training.loss_of(model, batch, draws)

    losses = {}
    for precision in ("fp32", "bf16"):
        model = tiny_training.build(0.0)
        losses[precision] = [
            r.loss
            for r in train_steps(
                model, torch.optim.AdamW(model.parameters()), tiny_training.batch_at, loss_of, steps=5,
                learning_rate=tiny_training.learning_rate, precision=precision,
            )
        ]  # fmt: skip
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert seen == [torch.float32] * 5 + [torch.bfloat16] * 5
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


def test_names_are_found_in_mappings_and_attributes():
    class Named:
        cases = ("a", "b")

    assert case_names(Named()) == case_names({"cases": ["a", "b"]}) == ["a", "b"]
    assert case_names({"cases": "sub-1"}) == ["sub-1"]
    assert case_names({"image": 1}) == case_names(torch.zeros(2)) == []


def test_wrong_settings_are_refused():
    for settings in ({"accumulate": 0}, {"steps": -1}, {"precision": "fp16"}):
        with pytest.raises(ConfigError, match=str(next(iter(settings.values())))):
            run(tiny_training.build(), **settings)
