"""Solver error against number of network calls, ours beside diffusers', on data whose exact answer is known.

Gaussian data with a standard deviation per element from 0.01 to 1 and the exact denoiser: all error is the solver's.
Error = length of the difference to the end of the exact probability-flow ODE over the length of that end.
Says nothing about the image quality of a trained network.

    python benchmarks/bench_samplers.py [--elements 4096] [--steps-in-table 1000]
"""

import argparse
import platform
import time
from collections.abc import Callable

import diffusers
import torch
from torch import Tensor

from pathosynth.diffusion.sample import Denoiser, Method, network_calls, sample
from pathosynth.diffusion.schedule import Schedule, broadcast, cosine, rectified_flow

CALLS = (4, 5, 8, 10, 20, 25, 40, 50, 100, 250)
Solver = Callable[[Tensor, int], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elements", type=int, default=4096)
    parser.add_argument("--steps-in-table", type=int, default=1000)
    settings = parser.parse_args()
    torch.set_num_threads(1)
    deviation = torch.logspace(-2, 0, settings.elements, dtype=torch.float64)
    noise = torch.randn(1, settings.elements, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    curve = cosine(steps=settings.steps_in_table)
    print(f"torch {torch.__version__}, diffusers {diffusers.__version__}, {platform.machine()}; ", end="")
    print(f"{settings.elements} elements, float64, {settings.steps_in_table} steps in the table\n")
    print("| relative error at network calls | " + " | ".join(map(str, CALLS)) + " | ms per call |")
    print("|---" * (len(CALLS) + 2) + "|")
    for name, schedule, solver in solvers(curve, deviation):
        print(row(name, schedule, solver, deviation, noise))


def solvers(curve: Schedule, deviation: Tensor) -> list[tuple[str, Schedule, Solver]]:
    """Every line of the table: name, schedule, and noise + number of calls -> image."""
    flow = rectified_flow()
    own: list[tuple[str, Schedule, Method]] = [
        (f"{method}, {schedule.name}", schedule, method)
        for schedule in (curve, flow)
        for method in ("ddim", "dpmpp_2m", "heun")
    ]
    lines = [(name, schedule, ours(schedule, method, deviation)) for name, schedule, method in own]
    table = {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": curve.steps, "timestep_spacing": "trailing"}
    ddim = diffusers.DDIMScheduler(**table, clip_sample=False)
    dpm = diffusers.DPMSolverMultistepScheduler(**table)
    lines.append(("diffusers DDIM, cosine", curve, theirs(ddim, curve, deviation)))
    lines.append(("diffusers DPM-Solver++ 2M, cosine", curve, theirs(dpm, curve, deviation)))
    return lines


def denoiser(schedule: Schedule, deviation: Tensor) -> Denoiser:
    """E[x_0 | x_t] for x_0 ~ N(0, deviation^2)."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = broadcast(schedule.alpha(t.double()), x_t), broadcast(schedule.sigma(t.double()), x_t)
        return alpha * deviation**2 / (alpha**2 * deviation**2 + sigma**2) * x_t

    return denoise


def ours(schedule: Schedule, method: Method, deviation: Tensor) -> Solver:
    def solve(noise: Tensor, calls: int) -> Tensor:
        steps = (calls + 1) // 2 if method == "heun" else calls
        # Heun makes an odd number of calls; it is listed under the next even number it fits in.
        assert network_calls(method, steps) <= calls
        return sample(denoiser(schedule, deviation), noise, schedule, method=method, steps=steps)

    return solve


def theirs(scheduler: diffusers.SchedulerMixin, schedule: Schedule, deviation: Tensor) -> Solver:
    model = denoiser(schedule, deviation)

    def solve(noise: Tensor, calls: int) -> Tensor:
        scheduler.set_timesteps(calls)
        x = noise
        for step in scheduler.timesteps:
            t = (step.double() + 1).reshape(1) / schedule.steps
            eps = (x - schedule.alpha(t) * model(x, t)) / schedule.sigma(t)
            x = scheduler.step(eps, step, x).prev_sample
        return x

    return solve


def row(name: str, schedule: Schedule, solve: Solver, deviation: Tensor, noise: Tensor) -> str:
    one = torch.ones(1, dtype=torch.float64)
    alpha, sigma = schedule.alpha(one), schedule.sigma(one)
    exact = deviation * noise / (alpha**2 * deviation**2 + sigma**2).sqrt()
    began = time.perf_counter()
    errors = [float((solve(noise, calls) - exact).norm() / exact.norm()) for calls in CALLS]
    milliseconds = 1000 * (time.perf_counter() - began) / sum(CALLS)
    return f"| {name} | " + " | ".join(f"{error:.4f}" for error in errors) + f" | {milliseconds:.2f} |"


if __name__ == "__main__":
    main()
