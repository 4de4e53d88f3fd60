"""One pair, label map and image, by the second paper's design and by preset `small`: networks called once, then added.

Every network of a preset, with random weights, runs in a process of its own (peak memory) on one thread: one look of a
diffusion network, one decoding. CPU seconds of a pair are looks times one look plus both decodings: **computed**, since
two thousand looks of the paper's networks take hours here; `small` is also measured whole by `generate-labels` and
`generate-images`. A step of the label network is two looks (guidance), one of the image network is one; what SPADE
makes of the labels alone is kept, as it is when sampling.

    python benchmarks/bench_pair.py [--rounds 1] [--presets small paper] [--precision fp32]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bench_spade import block_labels, peak_gib

SCHEMES = {"small": "kcl8", "paper": "synthseg"}
PARTS = ("label network", "label decoder", "image network", "image decoder")
PREVIEW_STEPS = 50
"""Steps of the paper's previews (DDIM), beside its 1000."""


def label_part(preset: str, part: str) -> tuple[Any, Callable[[], Any]]:
    """A network of the label generator, and one call of it."""
    import torch

    from pathosynth.data.labels import load_scheme
    from pathosynth.label_generators.latent_diffusion import config_from_preset
    from pathosynth.label_generators.latent_diffusion.model import build_autoencoder, build_denoiser

    config = config_from_preset(preset, {})
    z = torch.randn(1, config.autoencoder.latent_channels, *(n // 4 for n in config.grid.shape))
    if part == "label decoder":
        network: Any = build_autoencoder(config, load_scheme(SCHEMES[preset])).eval()
        return network, lambda: network.decode(z)
    network = build_denoiser(config).eval()
    asked = torch.zeros(1, len(config.conditions))
    known = torch.ones_like(asked, dtype=torch.bool)
    return network, lambda: network(z, torch.tensor([0.5]), asked, known)


def image_part(preset: str, part: str) -> tuple[Any, Callable[[], Any]]:
    """A network of the image generator, and one call of it."""
    import torch

    from pathosynth.data.labels import load_scheme
    from pathosynth.diffusion.networks.spade import LabelMaps
    from pathosynth.image_generators.spade_latent_diffusion import config_from_preset
    from pathosynth.image_generators.spade_latent_diffusion.model import build_autoencoder, build_diffusion
    from pathosynth.label_generators.latent_diffusion import config_from_preset as label_config

    config, scheme = config_from_preset(preset, {}), load_scheme(SCHEMES[preset])
    cells = [n // 4 for n in label_config(preset, {}).grid.shape]
    z = torch.randn(1, config.autoencoder.latent_channels, *cells)
    maps = LabelMaps(block_labels(cells, len(scheme.values) + 1), config.condition.pooling)
    if part == "image decoder":
        network: Any = build_autoencoder(config, scheme).eval()
        return network, lambda: network.decode(z, maps)
    network = build_diffusion(config, scheme).eval()
    return network, lambda: network(z, torch.tensor([0.5]), maps)


def measure(preset: str, part: str, precision: str, rounds: int) -> dict[str, float]:
    """One network: parameters, median CPU seconds of a call after a first one, peak memory."""
    import torch

    from pathosynth.diffusion.precision import channels_last

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, call = (label_part if part.startswith("label") else image_part)(preset, part)
    if preset == "small":
        channels_last(network)  # as loaded models are
    seconds = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for _ in range(rounds + 1):
            began = time.process_time()
            call()
            seconds.append(time.process_time() - began)
    return {
        "million": sum(p.numel() for p in network.parameters()) / 1e6,
        "seconds": statistics.median(seconds[1:]),
        "peak_gib": peak_gib(),
    }


def looks(preset: str) -> list[tuple[str, int, int]]:
    """Ways to sample a pair: name, looks of the label network, looks of the image network."""
    from pathosynth.image_generators.spade_latent_diffusion import config_from_preset as image_config
    from pathosynth.label_generators.latent_diffusion import config_from_preset as label_config

    labels, images = label_config(preset, {}).sampling, image_config(preset, {}).sampling
    ways = [(f"{labels.method} {labels.steps} + {images.method} {images.steps}", 2 * labels.steps, images.steps)]
    if preset == "paper":
        ways.append((f"ddim {PREVIEW_STEPS} each", 2 * PREVIEW_STEPS, PREVIEW_STEPS))
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--presets", nargs="+", default=["small", "paper"], choices=list(SCHEMES))
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--child", nargs=2, metavar=("PRESET", "PART"))
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(*args.child, args.precision, args.rounds)))
        return
    own = [sys.executable, __file__, "--precision", args.precision, "--rounds", str(args.rounds), "--child"]
    found: dict[tuple[str, str], dict[str, float]] = {}
    print("| preset | network | M parameters | one call [CPU s] | GiB |\n|---|---|---|---|---|")
    for preset in args.presets:
        for part in PARTS:
            run = subprocess.run([*own, preset, part], check=True, capture_output=True, text=True)
            one = found[preset, part] = json.loads(run.stdout)
            size = f"{one['million']:.1f} | {one['seconds']:.2f} | {one['peak_gib']:.1f}"
            print(f"| {preset} | {part} | {size} |", flush=True)
    print("\n| preset | sampling | one pair, computed [CPU s] |\n|---|---|---|")
    for preset in args.presets:
        seconds = {part: found[preset, part]["seconds"] for part in PARTS}
        decodings = seconds["label decoder"] + seconds["image decoder"]
        for way, labels, images in looks(preset):
            total = labels * seconds["label network"] + images * seconds["image network"] + decodings
            print(f"| {preset} | {way} | {total:.0f} |")


if __name__ == "__main__":
    main()
