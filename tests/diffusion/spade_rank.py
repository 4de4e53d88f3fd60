"""One rank of ``test_spade.py``: networks wrapped for distributed training get their label maps."""

import test_spade as spade
import torch
import torch.distributed as dist
from torch import nn

from pathosynth.diffusion.networks.spade import LabelMaps, with_label_maps

BUILDS = {"small": spade.small_unet, "monai": lambda: with_label_maps(spade.unet())}


def main() -> None:
    dist.init_process_group("gloo")
    maps, x, t = LabelMaps(spade.one_hot(2)), spade.noise(2, 3, 8, 8, 4), torch.tensor([0.3, 0.8])
    for name, build in BUILDS.items():
        network = build()
        expected = network(x, t, maps)
        out = nn.parallel.DistributedDataParallel(network)(x, t, maps)
        out.square().mean().backward()
        if torch.equal(out, expected) and all(p.grad is not None for p in network.parameters()):
            print(name)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
