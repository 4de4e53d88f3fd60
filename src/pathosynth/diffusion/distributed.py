"""Several processes, started by torchrun; without torchrun everything here does nothing.

Work is dealt out in slots: one training step has world_size x accumulate slots, and what a slot contains is a function
of (seed, step, slot), never of the rank. N ranks with one slot each therefore train the same model as one rank with N
slots, up to the order of floating-point sums.

A scheduler that wants its machine back sends SIGTERM, SIGUSR1 or SIGUSR2. `stop_signals` turns that into a flag, the
caller asks `stop_agreed` between steps, saves, and leaves with `EXIT_CODE_STOPPED`; the same command then resumes.
"""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pathosynth.runs.errors import ConfigError
from pathosynth.runs.signals import handled

# EX_TEMPFAIL of sysexits.h: "try again later".
EXIT_CODE_STOPPED = 75
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


@dataclass(frozen=True)
class Rank:
    """Place of this process among those of one training run."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_writer(self) -> bool:
        """Only rank 0 writes files."""
        return self.rank == 0

    def slots(self, accumulate: int = 1) -> range:
        """The slots of a step that are this rank's: rank, rank + world_size, ..."""
        return range(self.rank, self.world_size * accumulate, self.world_size)


@dataclass
class StopFlag:
    """Set by a signal handler: `name` of the signal, empty as long as none came."""

    name: str = ""


def setup(device: str | None = None) -> Rank:
    """Join the process group when torchrun started this process, else stand alone.

    The RANK, WORLD_SIZE and LOCAL_RANK that torchrun sets are the only environment variables the engine reads.
    Devices: `device` where given, else the GPU of this local rank, else the CPU; nccl between GPUs, gloo between CPUs.

    Raises:
        ConfigError: a GPU was asked for and there is none, or the name is that of no device.
    """
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise ConfigError(f"Device '{name}': expected cpu, cuda, cuda:N or mps. Give one of them as --device.")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"Device '{name}': this machine has no usable CUDA GPU. Use --device cpu.")
    chosen = torch.device(f"cuda:{local_rank}" if name == "cuda" and world_size > 1 else name)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world_size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", rank=rank, world_size=world_size)
    return Rank(rank, world_size, local_rank, chosen)


def teardown() -> None:
    """Leave the process group, if there is one, once every rank is done.

    Call it at every regular end, also after a stop; not after an error on one rank, since the others would be waited
    for in vain. Without the wait, a rank was now and then aborted by its communication threads while another wrote.
    """
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def wrap(model: nn.Module, rank: Rank) -> nn.Module:
    """`model` on the rank's device, inside DistributedDataParallel only when there is more than one rank."""
    model = model.to(rank.device)
    if rank.world_size == 1:
        return model
    ids = [rank.device.index] if rank.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=ids)


def bare(model: nn.Module) -> nn.Module:
    """The model without its DistributedDataParallel wrapper: for EMA, checkpoints and sampling."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def mean_over_ranks(value: Tensor, rank: Rank) -> Tensor:
    """Average of a tensor over all ranks; every rank gets the same numbers."""
    if rank.world_size == 1:
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value / rank.world_size


@contextlib.contextmanager
def stop_signals() -> Iterator[StopFlag]:
    """Within the block, SIGTERM, SIGUSR1 and SIGUSR2 set the flag instead of ending the process.

    Main thread only, as for all Python signal handlers.
    """
    flag = StopFlag()

    def note(number: int, _frame: FrameType | None) -> None:
        flag.name = signal.Signals(number).name

    with handled(STOP_SIGNALS, note):
        yield flag


def stop_agreed(flag: StopFlag, rank: Rank) -> bool:
    """Whether any rank was told to stop; all ranks must ask after the same step and get the same answer."""
    told = torch.tensor(float(bool(flag.name)), device=rank.device)
    return bool(mean_over_ranks(told, rank) > 0)
