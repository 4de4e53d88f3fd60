"""A SLURM of its own: munged, slurmctld and slurmd on this machine, with all their files in one folder."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo")
START_SECONDS = 60


def missing() -> list[str]:
    """Programs that are not installed."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


@contextmanager
def private_slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start it, yield the environment its commands need, and end it."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "spool").mkdir()
    (folder / "state").mkdir()
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    (folder / "slurm.conf").write_text(configuration(folder))
    path = f"{with_own_srun(folder)}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
    socket_file = folder / "munge.socket"
    started = [
        subprocess.Popen(call, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        for call, log in (
            (munged(folder, socket_file), (folder / "munged.out").open("wb")),
            (["slurmctld", "-D"], (folder / "slurmctld.out").open("wb")),
            (["slurmd", "-D", "-N", "one"], (folder / "slurmd.out").open("wb")),
        )
    ]
    try:
        wait_until_idle(folder, environment)
        yield environment
    finally:
        for job in ("--state=PENDING", "--state=RUNNING"):
            subprocess.run(["scancel", job], env=environment, capture_output=True, timeout=60, check=False)
        time.sleep(1)
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def with_own_srun(folder: Path) -> Path:
    """A folder with an `srun` that knows this SLURM: inside a job, Snakemake's plugin drops SLURM_CONF before it."""
    (folder / "bin").mkdir()
    script = folder / "bin" / "srun"
    script.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    script.chmod(0o755)
    return folder / "bin"


def munged(folder: Path, socket_file: Path) -> list[str]:
    names = {"key-file": "munge.key", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munged.seed"}
    files = [f"--{option}={folder / name}" for option, name in names.items()]
    return ["munged", "--foreground", "--force", f"--socket={socket_file}", *files]


def configuration(folder: Path) -> str:
    """One node that is this machine; no accounting, no control groups, which containers may lack."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"""\
ClusterName=private
SlurmctldHost={socket.gethostname()}(127.0.0.1)
SlurmctldPort={free_port()}
SlurmUser={"root" if os.getuid() == 0 else os.environ.get("USER", "root")}
SlurmdUser={"root" if os.getuid() == 0 else os.environ.get("USER", "root")}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0,defer
ReturnToService=2
MinJobAge=300
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
NodeName=one NodeAddr=127.0.0.1 NodeHostname={socket.gethostname()} Port={free_port()} CPUs=4 RealMemory={memory}
PartitionName=all Nodes=one Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_idle(folder: Path, environment: dict[str, str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    call = ["sinfo", "--noheader", "--format=%T"]
    while time.monotonic() < deadline:
        found = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=30, check=False)
        if found.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(folder.glob("*.log")))
    raise TimeoutError(f"the node is '{found.stdout.strip()}{found.stderr.strip()}' after {START_SECONDS} s\n{logs}")
