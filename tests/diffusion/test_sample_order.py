"""Measured order of convergence of the deterministic solvers on Gaussian data, whose ODE has a closed-form end."""

import numpy as np
import pytest
import torch
from gaussian import denoiser, exact_end

from pathosynth.diffusion.sample import METHODS, ORDER, sample
from pathosynth.diffusion.schedule import Schedule, cosine, rectified_flow

NOISE = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]


def even_log_snr(steps: int = 512) -> Schedule:
    """A path on which log(alpha / sigma) falls evenly from 10 to -3: finite at both ends, smooth for every solver."""
    log_ratio = torch.linspace(10, -3, steps + 1, dtype=torch.float64)[1:]
    return Schedule("even_log_snr", torch.sigmoid(2 * log_ratio))


def error(schedule: Schedule, method, deviation: float, steps: int) -> float:
    x = sample(denoiser(schedule, 1.0, deviation), NOISE, schedule, method=method, steps=steps)
    return float((x - exact_end(schedule, 1.0, deviation, NOISE)).abs().max())


def measured_order(schedule: Schedule, method, deviation: float, steps: tuple[int, ...]) -> float:
    errors = [error(schedule, method, deviation, n) for n in steps]
    return -float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


@pytest.mark.parametrize("deviation", [0.3, 0.5, 2.0])
@pytest.mark.parametrize("method", sorted(ORDER))
def test_order_is_the_declared_one(method, deviation):
    order = measured_order(even_log_snr(), method, deviation, (64, 128, 256))
    assert order == pytest.approx(ORDER[method], abs=0.12)


@pytest.mark.parametrize("deviation", [0.5, 2.0])
@pytest.mark.parametrize(
    "schedule", [rectified_flow(), rectified_flow(3.0), cosine(0.0, 640)], ids=["flow", "shift", "cosine"]
)
@pytest.mark.parametrize("method", sorted(ORDER))
def test_order_on_the_schedules_in_use(method, schedule, deviation):
    """From pure noise to data; DPM-Solver++ 2M pays a logarithm there.

    However many steps it takes, those at the noise end have length log 2 in lambda; its error falls like N^-2 log N,
    which is a slope of 1.5 to 1.8 at these numbers of steps.
    """
    order = measured_order(schedule, method, deviation, (80, 160, 320))
    if method == "dpmpp_2m":
        assert 1.4 < order < 2.1
    else:
        assert order == pytest.approx(ORDER[method], abs=0.05)


def test_every_deterministic_method_declares_its_order():
    assert set(ORDER) == set(METHODS) - {"ddpm"}


def test_euler_on_the_straight_ode_is_ddim():
    """DDIM is Euler's method in every variable in which the path is a straight line; written out here in tau."""
    schedule, z = cosine(), NOISE
    model = denoiser(schedule, 1.0, 0.4)
    grid = schedule.timesteps(20)
    alpha, sigma = schedule.alpha(grid), schedule.sigma(grid)
    tau = sigma / (alpha + sigma)
    x = z
    for i in range(20):
        x0 = model(x, grid[i].reshape(1))
        slope = (x - alpha[i] * x0) / sigma[i] - x0
        x = (x / (alpha[i] + sigma[i]) + (tau[i + 1] - tau[i]) * slope) * (alpha[i + 1] + sigma[i + 1])
    torch.testing.assert_close(sample(model, z, schedule, method="euler", steps=20), x, rtol=0, atol=1e-7)
    torch.testing.assert_close(sample(model, z, schedule, method="ddim", steps=20), x, rtol=0, atol=1e-7)
