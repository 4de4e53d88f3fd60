"""Objectives: published targets, and image and noise recovered from them."""

import pytest
import torch

from pathosynth.diffusion.objective import OBJECTIVES, noised, target, to_eps, to_x0
from pathosynth.diffusion.schedule import Schedule, cosine, rectified_flow, scaled_linear
from pathosynth.runs.errors import ConfigError

SCHEDULES = [cosine(), scaled_linear(), rectified_flow()]


def draw(seed: int, t_low: float, t_high: float):
    g = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, 16, 3, 4, 5, generator=g, dtype=torch.float64)
    t = t_low + (t_high - t_low) * torch.rand(16, generator=g, dtype=torch.float64)
    return x0, eps, t


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_image_and_noise_come_back_from_the_target(schedule: Schedule, objective):
    x0, eps, t = draw(0, 0.01, 0.99)
    x_t, answer = noised(schedule, x0, eps, t), target(objective, schedule, x0, eps, t)
    torch.testing.assert_close(to_x0(objective, schedule, answer, x_t, t), x0, rtol=0, atol=1e-9)
    torch.testing.assert_close(to_eps(objective, schedule, answer, x_t, t), eps, rtol=0, atol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_targets_are_the_published_ones(schedule: Schedule):
    x0, eps, t = draw(1, 0.0, 1.0)
    for sample in range(len(t)):
        alpha, sigma = float(schedule.alpha(t[sample])), float(schedule.sigma(t[sample]))
        expected = {
            "epsilon": eps[sample],
            "sample": x0[sample],
            "v": alpha * eps[sample] - sigma * x0[sample],
            "flow": eps[sample] - x0[sample],
        }
        for objective in OBJECTIVES:
            torch.testing.assert_close(target(objective, schedule, x0, eps, t)[sample], expected[objective])
        torch.testing.assert_close(noised(schedule, x0, eps, t)[sample], alpha * x0[sample] + sigma * eps[sample])


def test_flow_target_is_the_speed_of_the_straight_path():
    schedule = rectified_flow()
    x0, eps, t = draw(2, 0.1, 0.9)
    speed = (noised(schedule, x0, eps, t + 1e-6) - noised(schedule, x0, eps, t - 1e-6)) / 2e-6
    torch.testing.assert_close(target("flow", schedule, x0, eps, t), speed, rtol=0, atol=1e-7)


def test_v_target_is_the_derivative_by_the_angle():
    """Salimans & Ho 2022, appendix D: v = d x_phi / d phi with alpha = cos(phi), sigma = sin(phi)."""
    schedule = cosine()
    x0, eps, t = draw(3, 0.1, 0.9)
    phi = torch.atan2(schedule.sigma(t), schedule.alpha(t)).reshape(-1, 1, 1, 1)
    speed = (
        (phi + 1e-6).cos() * x0 + (phi + 1e-6).sin() * eps - (phi - 1e-6).cos() * x0 - (phi - 1e-6).sin() * eps
    ) / 2e-6
    torch.testing.assert_close(target("v", schedule, x0, eps, t), speed, rtol=0, atol=1e-7)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_ends_are_finite_and_right_where_they_can_be(schedule: Schedule, objective):
    x0, eps, _ = draw(4, 0, 1)
    for end in (0.0, 1.0):
        t = torch.full((16,), end, dtype=torch.float64)
        x_t, answer = noised(schedule, x0, eps, t), target(objective, schedule, x0, eps, t)
        image, noise = to_x0(objective, schedule, answer, x_t, t), to_eps(objective, schedule, answer, x_t, t)
        assert image.isfinite().all()
        assert noise.isfinite().all()
        if not (objective == "epsilon" and schedule.name == "rectified_flow" and end == 1):
            torch.testing.assert_close(image, x0, rtol=0, atol=1e-9)
        if not (objective == "sample" and end == 0):
            torch.testing.assert_close(noise, eps, rtol=0, atol=1e-9)


def test_unknown_objective_is_refused():
    x0, eps, t = draw(5, 0, 1)
    with pytest.raises(ConfigError, match="'score'"):
        target("score", cosine(), x0, eps, t)
