"""Schedules against published formulas, written out in numpy, and against diffusers' tables."""

import diffusers
import numpy as np
import pytest
import torch

from pathosynth.diffusion.schedule import SCHEDULES, Schedule, cosine, rectified_flow, scaled_linear
from pathosynth.runs.errors import ConfigError, InputError

TABLED = [cosine(), cosine(steps=250), scaled_linear(), scaled_linear(0.0015, 0.0205)]


def test_cosine_is_equation_17_of_nichol_and_dhariwal():
    t = np.arange(1001) / 1000
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    betas = np.minimum(1 - f[1:] / f[:-1], 0.999)
    schedule = cosine()
    assert betas[-1] == 0.999
    # Before the clipped last beta, the running product is f(t) / f(0) itself.
    np.testing.assert_allclose(schedule.alphas_cumprod[:-1], f[1:-1] / f[0], rtol=1e-9)
    np.testing.assert_allclose(schedule.alphas_cumprod[-1], f[-2] / f[0] * 0.001, rtol=1e-9)


@pytest.mark.parametrize(
    ("schedule", "settings"),
    [
        (cosine(), {"beta_schedule": "squaredcos_cap_v2"}),
        (cosine(steps=250), {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 250}),
        (scaled_linear(), {"beta_schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0195}),
    ],
)
def test_tables_are_those_of_diffusers(schedule: Schedule, settings):
    # diffusers multiplies in float32: 1,000 roundings of 6e-8.
    np.testing.assert_allclose(
        schedule.alphas_cumprod, diffusers.DDPMScheduler(**settings).alphas_cumprod, rtol=6e-5, atol=1e-9
    )


@pytest.mark.parametrize("schedule", TABLED)
def test_continuous_access_returns_the_table_at_its_steps(schedule: Schedule):
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        t = (torch.arange(1, schedule.steps + 1, dtype=torch.float64) / schedule.steps).to(dtype)
        np.testing.assert_allclose(schedule.alpha(t).double() ** 2, schedule.alphas_cumprod, rtol=tolerance)
        np.testing.assert_allclose(schedule.sigma(t).double() ** 2, 1 - schedule.alphas_cumprod, rtol=tolerance)


@pytest.mark.parametrize("schedule", [*TABLED, rectified_flow()])
def test_levels_are_monotone_between_the_steps_too(schedule: Schedule):
    t = torch.linspace(0, 1, 7777, dtype=torch.float64)
    assert (schedule.alpha(t).diff() < 0).all()
    assert (schedule.sigma(t).diff() > 0).all()
    assert (schedule.log_snr(t).diff()[1:-1] < 0).all()


@pytest.mark.parametrize("schedule", TABLED)
def test_log_snr_is_interpolated_linearly(schedule: Schedule):
    i = torch.tensor([10.0, 100.0, 200.0], dtype=torch.float64)
    ends = [schedule.log_snr((i + shift) / schedule.steps) for shift in (0, 1)]
    middle = schedule.log_snr((i + 0.25) / schedule.steps)
    np.testing.assert_allclose(middle, 0.75 * ends[0] + 0.25 * ends[1], rtol=1e-9)


@pytest.mark.parametrize("schedule", TABLED)
def test_variance_is_preserved_everywhere(schedule: Schedule):
    t = torch.linspace(0, 1, 3001, dtype=torch.float64)
    np.testing.assert_allclose(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, 1, rtol=1e-12)


@pytest.mark.parametrize("schedule", [*TABLED, rectified_flow(3)])
def test_data_end_is_the_image_itself(schedule: Schedule):
    zero = torch.zeros(1)
    assert float(schedule.alpha(zero)) == 1
    assert float(schedule.sigma(zero)) == 0
    assert float(schedule.log_snr(zero)) == float("inf")


@pytest.mark.parametrize("n", [1, 2, 4, 10, 25, 50, 100, 500, 1000])
@pytest.mark.parametrize(("spacing", "theirs"), [("trailing", "trailing"), ("uniform", "linspace")])
def test_grid_is_that_of_diffusers(n: int, spacing, theirs):
    other = diffusers.DDIMScheduler(timestep_spacing=theirs)
    other.set_timesteps(n)
    expected = other.timesteps.numpy() + 1
    if n == 1 and spacing == "uniform":
        expected = np.array([1000])  # numpy's linspace with one point starts at the clean end; we start at noise
    grid = cosine().timesteps(n, spacing) * 1000
    np.testing.assert_allclose(grid, [*expected, 0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("spacing", ["trailing", "uniform"])
@pytest.mark.parametrize("schedule", [cosine(), scaled_linear(steps=250), rectified_flow(), rectified_flow(3)])
def test_every_grid_goes_from_noise_to_data_along_the_table(schedule: Schedule, spacing):
    for n in (*range(1, 60), 99, 100, 249, 250):
        grid = schedule.timesteps(n, spacing)
        assert len(grid) == n + 1
        assert grid[0] == 1
        assert grid[-1] == 0
        assert (grid.diff() < 0).all()
        if schedule.steps:
            steps = grid * schedule.steps
            np.testing.assert_allclose(steps, steps.round(), rtol=0, atol=1e-9)


def test_shift_follows_equation_23_of_esser():
    sigma = 0.37
    assert float(rectified_flow(3.0).place(torch.tensor(1 - sigma, dtype=torch.float64))) == pytest.approx(
        3 * sigma / (1 + 2 * sigma), rel=1e-12
    )
    # It moves times, not the path.
    t = torch.rand(100)
    assert torch.equal(rectified_flow(3.0).sigma(t), t)


def test_training_meets_every_step_the_sampler_asks_for_equally_often():
    schedule = cosine(steps=8)
    placed = schedule.place((torch.arange(800) + 0.5) / 800)
    values, counts = torch.unique(placed, return_counts=True)
    assert torch.equal(values, torch.arange(1, 9) / 8)
    assert (counts == 100).all()
    flow = rectified_flow().place(torch.tensor([0.0, 0.999]))
    assert flow[0] == 1  # where sampling starts
    assert flow[1] > 0


def test_bad_requests_are_refused():
    with pytest.raises(ConfigError, match="1001 sampling steps"):
        cosine().timesteps(1001)
    with pytest.raises(ConfigError, match="'leading'"):
        cosine().timesteps(10, "leading")
    with pytest.raises(ConfigError, match="betas between 0 and 1"):
        scaled_linear(0.001, 1.2)
    with pytest.raises(InputError, match="bfloat16"):
        cosine().alpha(torch.tensor([0.5], dtype=torch.bfloat16))
    with pytest.raises(InputError, match=r"1\.5"):
        cosine().alpha(torch.tensor([1.5]))
    with pytest.raises(InputError, match="nan"):
        rectified_flow().sigma(torch.tensor([float("nan")]))


def test_table_of_constructors_knows_each_schedule_by_its_name():
    assert {name: make().name for name, make in SCHEDULES.items()} == {name: name for name in SCHEDULES}
