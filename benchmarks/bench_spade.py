"""What the kept label part of SPADE saves: ours, and MONAI's stock modules, at our size and at the paper's, in one run.

Each row runs in a process of its own (peak memory). Jobs of one row take turns; the median of CPU seconds on one thread
over the rounds is given, so that other work on the machine does not matter much. Random weights: speed and memory only.

    python benchmarks/bench_spade.py [--rounds 3] [--rows small monai_small paper] [--precision bf16]
"""

import argparse
import copy
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

LABELS = {"small": 9, "monai_small": 9, "paper": 33}
SHAPES = {"small": (80, 96, 80), "monai_small": (80, 96, 80), "paper": (96, 128, 96)}
CHANNELS = {"monai_small": ((32, 64, 64), (96, 192)), "paper": ((64, 128, 128), (128, 256, 512))}


def networks(row: str) -> dict[str, Any]:
    """The U-Net and autoencoder of a row as they are sampled."""
    from pathosynth.data.labels import load_scheme
    from pathosynth.diffusion.networks.spade_monai import MonaiSpadeAutoencoder, MonaiSpadeUNet
    from pathosynth.diffusion.precision import channels_last
    from pathosynth.image_generators.spade_latent_diffusion import config_from_preset
    from pathosynth.image_generators.spade_latent_diffusion.model import build_autoencoder, build_diffusion

    labels = LABELS[row]
    if row == "small":
        config, scheme = config_from_preset("small", {}), load_scheme("kcl8")
        made = {"unet": build_diffusion(config, scheme), "decoder": build_autoencoder(config, scheme)}
        for network in made.values():
            channels_last(network)
        return made
    first, second = CHANNELS[row]
    return {
        "unet": MonaiSpadeUNet(label_channels=labels, latent_channels=6, channels=second),
        "decoder": MonaiSpadeAutoencoder(label_channels=labels, channels=first, latent_channels=6),
    }


def stock_forward(network: Any) -> Any:
    """The same network with MONAI's own SPADE layers, sharing no cache: takes the plain one-hot labels."""
    from monai.networks.blocks.spade_norm import SPADE

    from pathosynth.diffusion.networks.spade import SpadeNorm

    stock = copy.deepcopy(network.network)
    for module in list(stock.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, SpadeNorm):
                spade = SPADE.__new__(SPADE)
                spade.__dict__ = child.__dict__
                setattr(module, name, spade)
    return stock


def block_labels(cells: Sequence[int], labels: int) -> Any:
    """A random one-hot map (1, labels, I, J, K): one label in every cell of 4 x 4 x 4 voxels."""
    import torch

    blocks = torch.randint(0, labels, (1, *cells))
    for axis in (1, 2, 3):
        blocks = blocks.repeat_interleave(4, axis)
    return torch.nn.functional.one_hot(blocks, labels).permute(0, 4, 1, 2, 3).float().contiguous()


def peak_gib() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def jobs_of(row: str, part: str) -> tuple[dict[str, Callable[[], Any]], int]:
    """Ways to make one call of a network, and its parameters."""
    import torch

    from pathosynth.diffusion.networks.spade import LabelMaps

    torch.manual_seed(0)
    network = networks(row)[part].eval().requires_grad_(False)
    cells = [n // 4 for n in SHAPES[row]]
    z, t = torch.randn(1, 6, *cells), torch.tensor([0.5])
    labels = block_labels(cells, LABELS[row])
    kept = LabelMaps(labels, "area" if row == "small" else "nearest")

    def call(maps: Any) -> Any:
        return network(z, t, maps) if part == "unet" else network.decode(z, maps)

    jobs: dict[str, Callable[[], Any]] = {
        "kept": lambda: call(kept),
        "computed": lambda: call(LabelMaps(labels, kept.pooling)),
    }
    if row != "small":
        stock = stock_forward(network)
        jobs["stock"] = lambda: stock(z, t * 1000, labels) if part == "unet" else stock.decode(z, labels)
    return jobs, sum(p.numel() for p in network.parameters())


def measure(row: str, part: str, precision: str, rounds: int) -> dict[str, Any]:
    """Medians of one row and part."""
    import torch

    torch.set_num_threads(1)
    jobs, parameters = jobs_of(row, part)
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    difference = 0.0
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        jobs["kept"]()  # fills what is kept, and warms up
        for _ in range(rounds):
            outputs = {}
            for name, job in jobs.items():
                began = time.process_time()
                outputs[name] = job()
                seconds[name].append(time.process_time() - began)
            difference = max(float((outputs["kept"] - out).abs().max()) for out in outputs.values())
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {"seconds": medians, "parameters": parameters, "peak_gib": peak_gib(), "difference": difference}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", default=["small", "monai_small", "paper"], choices=list(SHAPES))
    parser.add_argument("--parts", nargs="+", default=["unet", "decoder"], choices=["unet", "decoder"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--child", nargs=2, metavar=("ROW", "PART"))
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(*args.child, args.precision, args.rounds)))
        return
    print("| network | part | M parameters | kept [CPU s] | computed | MONAI's module | saved | difference | GiB |")
    print("|---|---|---|---|---|---|---|---|---|")
    own = [sys.executable, __file__, "--precision", args.precision, "--rounds", str(args.rounds), "--child"]
    for row in args.rows:
        for part in args.parts:
            found = json.loads(subprocess.run([*own, row, part], check=True, capture_output=True, text=True).stdout)
            kept, rest = found["seconds"]["kept"], found["seconds"]
            cells = [f"{rest[name] / kept:.2f}x" if name in rest else "" for name in ("computed", "stock")]
            saved = 1 - kept / rest.get("stock", rest["computed"])
            size = f"{found['parameters'] / 1e6:.1f} | {kept:.2f} | {cells[0]} | {cells[1]} | {saved:.0%}"
            print(
                f"| {row} | {part} | {size} | {found['difference']:.0e} | {found['peak_gib']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
