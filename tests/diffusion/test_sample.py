"""Samplers: against diffusers, against closed forms, and independent of batch size."""

import itertools

import diffusers
import numpy as np
import pytest
import torch
from gaussian import denoiser, levels

from pathosynth.diffusion.objective import noised, to_x0
from pathosynth.diffusion.randomness import generator
from pathosynth.diffusion.sample import METHODS, network_calls, sample
from pathosynth.diffusion.schedule import Schedule, broadcast, cosine, rectified_flow, scaled_linear
from pathosynth.runs.errors import ConfigError

SCALED = {"beta_schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0195}
TABLED = [(scaled_linear(), SCALED), (cosine(), {"beta_schedule": "squaredcos_cap_v2"})]
IDS = ["scaled_linear", "cosine"]
DIVISORS = [1, 2, 4, 10, 25, 50, 100]


def noise_network(x: torch.Tensor, step: torch.Tensor | float) -> torch.Tensor:
    """A smooth noise estimate that is neither linear in x nor constant in time; `step` counts 0 .. 999."""
    time = (torch.as_tensor(step, dtype=x.dtype) + 1) / 1000
    return torch.tanh(x * (0.4 + time)) + 0.2 * torch.sin(3 * x)


def as_denoiser(schedule: Schedule):
    def denoise(x, t):
        return to_x0("epsilon", schedule, noise_network(x, float(t[0]) * 1000 - 1), x, t)

    return denoise


def with_diffusers(scheduler, noise, steps: int, **settings):
    scheduler.set_timesteps(steps)
    x = noise
    for step in scheduler.timesteps:
        x = scheduler.step(noise_network(x, step), step, x, **settings).prev_sample
    return x


@pytest.mark.parametrize("steps", DIVISORS)
@pytest.mark.parametrize(("schedule", "settings"), TABLED, ids=IDS)
def test_ddim_is_that_of_diffusers(schedule, settings, steps):
    noise = torch.randn(3, 5, 5, generator=generator(0), dtype=torch.float64)
    other = diffusers.DDIMScheduler(**settings, clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing")
    ours = sample(as_denoiser(schedule), noise, schedule, method="ddim", steps=steps)
    theirs = with_diffusers(other, noise, steps)
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-4


@pytest.mark.parametrize("steps", DIVISORS)
@pytest.mark.parametrize(("schedule", "settings"), TABLED, ids=IDS)
def test_dpm_solver_is_that_of_diffusers(schedule, settings, steps):
    noise = torch.randn(3, 5, 5, generator=generator(1), dtype=torch.float64)
    other = diffusers.DPMSolverMultistepScheduler(
        **settings, algorithm_type="dpmsolver++", solver_order=2, solver_type="midpoint", timestep_spacing="trailing"
    )
    ours = sample(as_denoiser(schedule), noise, schedule, method="dpmpp_2m", steps=steps)
    theirs = with_diffusers(other, noise, steps)
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-4


def gaussian_map(method, schedule: Schedule, steps: int) -> tuple[float, float]:
    """Mean and deviation a deterministic sampler gives on N(1.0, 0.30^2): it is affine there, so two points do."""
    zero_one = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    low, high = sample(denoiser(schedule, 1.0, 0.30), zero_one, schedule, method=method, steps=steps).flatten().tolist()
    return low, high - low


@pytest.mark.parametrize("schedule", [cosine(), scaled_linear(), rectified_flow()], ids=lambda s: s.name)
@pytest.mark.parametrize("method", [m for m in METHODS if m != "ddpm"])
def test_no_number_of_steps_biases_the_mean(method, schedule):
    """Solvers whose time steps and updates disagree end at a mean of 0.83 with four steps; see `timesteps`."""
    results = [gaussian_map(method, schedule, steps) for steps in (1, 2, 4, 10, 25, 50)]
    assert [mean for mean, _ in results] == pytest.approx([1.0] * 6, abs=0.01)
    errors = [abs(deviation - 0.30) for _, deviation in results]
    assert errors[0] == pytest.approx(0.30, abs=0.01)  # one step: the mean of the data
    assert errors[-1] < 0.06
    assert all(later < before or later < 0.01 for before, later in itertools.pairwise(errors))


@pytest.mark.parametrize(("steps", "deviation"), [(50, 0.262), (25, 0.234), (10, 0.178), (4, 0.098)])
def test_deviation_is_that_of_a_consistent_ddim_grid(steps, deviation):
    """Measured independently with another library's update on a grid repaired by hand (beta_end 0.0205, "linspace")."""
    zero_one = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    schedule = scaled_linear(0.0015, 0.0205)
    model = denoiser(schedule, 1.0, 0.30)
    low, high = sample(model, zero_one, schedule, method="ddim", steps=steps, spacing="uniform").flatten().tolist()
    assert high - low == pytest.approx(deviation, abs=0.001)


def ancestral_moments(schedule: Schedule, steps: int, mean: float, deviation: float) -> tuple[float, float]:
    """Mean and deviation of ancestral sampling on Gaussian data, by the posterior of Ho et al. 2020, eq. 6 and 7.

    Written with betas of the respaced chain, as in the paper, not with the form the sampler uses.
    """
    grid = schedule.timesteps(steps).tolist()
    m, v = 0.0, 1.0
    for t, s in itertools.pairwise(grid):
        (a_t, s_t), (a_s, _) = levels(schedule, t), levels(schedule, s)
        bar_t, bar_s = a_t**2, a_s**2
        beta = 1 - bar_t / bar_s
        to_image = np.sqrt(bar_s) * beta / (1 - bar_t)
        to_x = np.sqrt(1 - beta) * (1 - bar_s) / (1 - bar_t)
        gain = a_t * deviation**2 / (a_t**2 * deviation**2 + s_t**2)
        slope = to_x + to_image * gain
        m = slope * m + to_image * (mean - gain * a_t * mean)
        v = slope**2 * v + (1 - bar_s) / (1 - bar_t) * beta
    return m, float(np.sqrt(v))


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [(cosine(), n) for n in (1, 2, 4, 10, 25, 50, 1000)] + [(scaled_linear(), n) for n in (4, 50)],
)
def test_ancestral_sampling_has_the_moments_of_the_paper(schedule, steps):
    samples, size = 10, 2_000
    noise = torch.stack([torch.randn(size, generator=generator(2, i), dtype=torch.float64) for i in range(samples)])
    draws = [generator(3, i) for i in range(samples)]
    x = sample(denoiser(schedule, 1.0, 0.30), noise, schedule, method="ddpm", steps=steps, generators=draws)
    mean, deviation = ancestral_moments(schedule, steps, 1.0, 0.30)
    count = samples * size
    assert float(x.mean()) == pytest.approx(mean, abs=5 * deviation / np.sqrt(count) + 1e-6)
    assert float(x.std()) == pytest.approx(deviation, rel=5 / np.sqrt(2 * count), abs=1e-6)
    if steps == 1000:
        assert (mean, deviation) == pytest.approx((1.0, 0.30), abs=0.01)


def test_full_eta_is_ancestral_sampling():
    schedule, noise = cosine(), torch.randn(4, 50, generator=generator(4))
    model = denoiser(schedule, 1.0, 0.3)
    pair = [
        sample(model, noise, schedule, method=method, eta=eta, steps=20, generators=[generator(5, i) for i in range(4)])
        for method, eta in (("ddim", 1.0), ("ddpm", 0.0))
    ]
    assert torch.equal(*pair)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("schedule", [cosine(), rectified_flow()], ids=lambda s: s.name)
def test_noise_put_back_keeps_the_marginals(schedule, eta):
    """With the exact denoiser of one point, x_s is N(alpha_s x_0, sigma_s^2) for every eta (Song et al., lemma 1)."""
    size, point = 200_000, 0.7
    seen = []

    def denoise(x, t):
        seen.append((float(t[0]), float(x.mean()), float(x.std())))
        return torch.full_like(x, point)

    start = noised(schedule, torch.full((1, size), point), torch.randn(1, size, generator=generator(6)), torch.ones(1))
    sample(denoise, start, schedule, method="ddim", eta=eta, steps=5, generators=[generator(7)])
    for t, mean, deviation in seen:
        alpha, sigma = levels(schedule, t)
        assert mean == pytest.approx(alpha * point, abs=5 * sigma / np.sqrt(size))
        assert deviation == pytest.approx(sigma, rel=5 / np.sqrt(2 * size))


@pytest.mark.parametrize(("method", "eta"), [*((method, 0.0) for method in METHODS), ("ddim", 0.6)])
def test_seed_decides_and_batch_size_does_not(method, eta):
    schedule = rectified_flow()

    def denoise(x, t):
        return torch.tanh(x) * broadcast(1 - t, x)

    def draw(ids):
        noise = torch.stack([torch.randn(2, 3, 3, generator=generator(8, i)) for i in ids])
        draws = [generator(9, i) for i in ids]
        return sample(denoise, noise, schedule, method=method, steps=6, eta=eta, generators=draws)

    together = draw([0, 1, 2, 3])
    assert torch.equal(together, torch.cat([draw([i]) for i in range(4)]))
    assert torch.equal(together.flip(0), draw([3, 2, 1, 0]))
    assert not torch.equal(together[0], together[1])


@pytest.mark.parametrize("method", METHODS)
def test_calls_are_counted_and_asked_at_the_times_of_the_grid(method):
    schedule, times, done = cosine(), [], []

    def denoise(x, t):
        assert t.shape == (2,)
        times.append(float(t[0]))
        return x * 0

    sample(
        denoise, torch.zeros(2, 3), schedule, method=method, steps=8, generators=[generator(0), generator(1)],
        on_step=lambda n, x0: done.append(n),
    )  # fmt: skip
    assert len(times) == network_calls(method, 8)
    assert done == list(range(1, 9))
    assert sorted(set(times), reverse=True) == pytest.approx(schedule.timesteps(8)[:-1].tolist(), rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_clip_bounds_the_image_and_nothing_else(method):
    noise = torch.randn(2, 64, generator=generator(10))
    settings = {"method": method, "steps": 7, "generators": [generator(11, i) for i in range(2)]}
    wild = sample(lambda x, t: 5 * x + 3, noise, cosine(), clip=1.0, **settings)
    assert float(wild.abs().max()) <= 1.0 + 1e-6
    settings["generators"] = [generator(11, i) for i in range(2)]
    free = sample(lambda x, t: torch.tanh(x), noise, cosine(), **settings)
    settings["generators"] = [generator(11, i) for i in range(2)]
    assert torch.equal(free, sample(lambda x, t: torch.tanh(x), noise, cosine(), clip=1.0, **settings))


def test_wrong_requests_are_refused():
    noise, schedule = torch.zeros(2, 3), cosine()
    with pytest.raises(ConfigError, match="'plms'"):
        sample(lambda x, t: x, noise, schedule, method="plms", steps=5)
    with pytest.raises(ConfigError, match="expected 2 generators, one per sample, found none"):
        sample(lambda x, t: x, noise, schedule, method="ddpm", steps=5)
    with pytest.raises(ConfigError, match="found 1"):
        sample(lambda x, t: x, noise, schedule, method="ddim", eta=0.1, steps=5, generators=[generator(0)])
    with pytest.raises(ConfigError, match="eta"):
        sample(lambda x, t: x, noise, schedule, method="heun", eta=0.1, steps=5)
    with pytest.raises(ConfigError, match="1001"):
        sample(lambda x, t: x, noise, schedule, method="ddim", steps=1001)
