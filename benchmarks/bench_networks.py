"""Sampling and training step of the fast network against MONAI's DiffusionModelUNet of equal width, in one run.

Each row runs in a process of its own (peak memory); the networks take turns, and the median over the rounds is given.
Random weights: speed and memory only.

    python benchmarks/bench_networks.py [--sizes 64 96] [--rounds 3] [--threads 2]
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

CLASSES, DISTANCES, COARSE = 8, 3, 22
NETWORKS = ("fast", "monai")


def build(name: str):
    import torch
    from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet

    from pathosynth.diffusion.networks.label_unet import LabelUNet
    from pathosynth.diffusion.precision import channels_last

    torch.manual_seed(0)
    if name == "fast":
        network = LabelUNet(fine_channels=CLASSES + DISTANCES, head_channels=CLASSES, coarse_channels=COARSE)
        channels_last(network)
        return network
    return DiffusionModelUNet(
        spatial_dims=3, in_channels=1 + CLASSES, out_channels=1, channels=(32, 64, 128), num_res_blocks=2,
        attention_levels=(False, False, False), num_head_channels=128, norm_num_groups=32,
    )  # fmt: skip


def measure(name: str, job: str, size: int, precision: str, threads: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(threads)
    network = build(name)
    x, fine = torch.randn(1, 1, size, size, size), torch.rand(1, CLASSES + DISTANCES, size, size, size).round()
    coarse, t = torch.rand(1, COARSE, *[size // 2] * 3), torch.tensor([0.5])
    optimizer = torch.optim.AdamW(network.parameters())

    def call(condition):
        if name == "fast":
            return network(x, t, condition)
        return network(torch.cat([x, fine[:, :CLASSES]], dim=1), timesteps=t * 1000)

    def once() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            if job == "sample":
                with torch.inference_mode():
                    condition = network.encode_condition(fine, coarse) if name == "fast" else None
                    started = time.perf_counter()
                    call(condition)
                return time.perf_counter() - started
            started = time.perf_counter()
            condition = network.encode_condition(fine, coarse) if name == "fast" else None
            loss = call(condition).float().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return time.perf_counter() - started

    once()
    seconds = float(np.median([once() for _ in range(3)]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": seconds, "gib": peak, "parameters": sum(p.numel() for p in network.parameters())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, job, size, precision = args.one
        print(json.dumps(measure(name, job, int(size), precision, args.threads)))
        return
    print("| job | size | precision | network | parameters, M | seconds | peak memory, GiB | MONAI / this |")
    print("|---|---|---|---|---|---|---|---|")
    for job in ("sample", "train"):
        for size in args.sizes:
            for precision in ("fp32", "bf16"):
                report(job, size, precision, args)


def report(job: str, size: int, precision: str, args: argparse.Namespace) -> None:
    rows = {name: [] for name in NETWORKS}
    for _ in range(args.rounds):
        for name in NETWORKS:
            command = [
                sys.executable,
                __file__,
                "--threads",
                str(args.threads),
                "--one",
                name,
                job,
                str(size),
                precision,
            ]
            rows[name].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    seconds = {name: float(np.median([r["seconds"] for r in found])) for name, found in rows.items()}
    for name, found in rows.items():
        ratio = seconds["monai"] / seconds[name]
        print(
            f"| {job} | {size}^3 | {precision} | {name} | {found[0]['parameters'] / 1e6:.1f} | {seconds[name]:.3f} | "
            f"{max(r['gib'] for r in found):.2f} | {ratio:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
