"""nnU-Net's commands as processes: environment, output into a log, progress read from it, nothing left behind."""

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pathosynth.runs.errors import ConfigError
from pathosynth.segmenters.job import Machine, Notice
from pathosynth.segmenters.nnunet.config import Config
from pathosynth.segmenters.nnunet.places import PROGRAM, Places

COMMANDS = {
    "plan": "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints:plan_and_preprocess_entry",
    "preprocess": "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints:preprocess_entry",
    "train": "nnunetv2.run.run_training:run_training_entry",
    "predict": "nnunetv2.inference.predict_from_raw_data:predict_entry_point_modelfolder",
}
"""What nnU-Net installs as nnUNetv2_plan_and_preprocess, _preprocess, _train and _predict_from_modelfolder."""

_EPOCH = re.compile(r"(?:^|: )Epoch (\d+)\s*$")
_LOSS = re.compile(r"(?:^|: )train_loss (\S+)\s*$")


def cores(config: Config) -> int:
    """Cores to compute on: as many as the settings say, at most what this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(config.threads, allowed) or allowed


def environment(
    command: str, places: Places, config: Config, machine: Machine, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Variables nnU-Net reads its folders and limits from; the user never sets them.

    Args:
        command: key of `COMMANDS`; its planner fails with 0 workers, which training takes.
        places: nnU-Net's folders.
        config: settings.
        machine: what it may use.
        inherited: variables of this process, for everything else.
    """
    own = {
        "nnUNet_raw": str(places.base / "raw"),
        "nnUNet_preprocessed": str(places.base / "preprocessed"),
        "nnUNet_results": str(places.base / "results"),
        "nnUNet_extTrainer": str(PROGRAM / "trainer"),
        "nnUNet_def_n_proc": str(cores(config)),  # also the most threads its prediction takes
        "nnUNet_compile": "t" if config.compile and machine.kind == "cuda" else "f",
        "nnUNet_wandb_enabled": "0",
        # for its workers; its main process sets the number of threads itself
        "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1", "MPLBACKEND": "agg",
    }  # fmt: skip
    if config.augmentation_workers is not None:
        own["nnUNet_n_proc_DA"] = str(max(config.augmentation_workers, 0 if command == "train" else 1))
    if machine.device.startswith("cuda:"):
        own["CUDA_VISIBLE_DEVICES"] = _visible(int(machine.device.partition(":")[2]), inherited)
    return {**inherited, **own}


def _visible(number: int, inherited: Mapping[str, str]) -> str:
    """The one GPU that is `number` for torch: counted among those that this process may see.

    Raises:
        ConfigError: it may not see so many.
    """
    seen = inherited.get("CUDA_VISIBLE_DEVICES")
    if seen is None:
        return str(number)
    names = [name.strip() for name in seen.split(",") if name.strip()]
    if number >= len(names):
        raise ConfigError(
            f"--device cuda:{number}: CUDA_VISIBLE_DEVICES={seen} leaves {len(names)} GPUs, counted from 0. "
            "Choose one of them."
        )
    return names[number]


def _silent(epoch: int, total: int, loss: float) -> None:
    """Commands without epochs have nothing to tell."""


def run(
    command: str,
    arguments: Sequence[str],
    places: Places,
    config: Config,
    machine: Machine,
    notice: Notice = _silent,
) -> int:
    """Run one of nnU-Net's commands to its end; returns its exit code.

    Args:
        command: key of `COMMANDS`.
        arguments: its own.
        places: nnU-Net's folders; all it says goes to ``log.txt`` there.
        config: settings.
        machine: what it may use.
        notice: called after every epoch.

    Raises:
        ConfigError: nnU-Net is not installed.
    """
    if importlib.util.find_spec("nnunetv2") is None:
        raise ConfigError(
            "--segmenter nnunet: nnU-Net is not installed. Install it: pip install 'pathosynth[segment]'."
        )
    words = [sys.executable, str(PROGRAM / "launch.py"), COMMANDS[command], *arguments]
    places.log.parent.mkdir(parents=True, exist_ok=True)
    with (
        places.log.open("a", encoding="utf-8") as log,
        _process(words, environment(command, places, config, machine, os.environ)) as process,
    ):
        log.write(f"$ {command} {' '.join(arguments)}\n")
        for epoch, loss in epochs(_copied(process, log.write)):
            notice(epoch + 1, config.epochs, loss)
        return process.wait()


def epochs(lines: Iterator[str]) -> Iterator[tuple[int, float]]:
    """Number, counted from 0, and training loss of every epoch that ends in nnU-Net's output."""
    epoch = 0
    for line in lines:
        if found := _EPOCH.search(line):
            epoch = int(found[1])
        elif found := _LOSS.search(line):
            yield epoch, float(found[1])


def tail(log: Path, lines: int = 12) -> str:
    """The end of a log: what nnU-Net said last."""
    try:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(line for line in said[-4 * lines :] if line.strip())[-lines * 200 :]


def _copied(process: "subprocess.Popen[str]", keep: Callable[[str], object]) -> Iterator[str]:
    for line in process.stdout or ():
        keep(line)
        yield line.rstrip("\n")


@contextmanager
def _process(words: list[str], variables: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """A command in a session of its own, which ends with everything it started when this block is left."""
    process = subprocess.Popen(  # noqa: S603, our own words
        words,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    """End a process and what it started, asking first."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()
