"""A real SLURM of three nodes on this one machine: slurmctld, three slurmd and munged, all on loopback."""

import contextlib
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import psutil

CONFIG = Path("/etc/slurm/slurm.conf")  # nowhere else: SLURM's own helpers forget SLURM_CONF
MARK = "# of medgrid's tests"
NODES = ["n1", "n2", "n3"]
SETTINGS = f"""{MARK}
ClusterName=medgrid
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=16817
StateSaveLocation={{folder}}/state
SlurmdSpoolDir={{folder}}/spool-%n
SlurmctldPidFile={{folder}}/slurmctld.pid
SlurmdPidFile={{folder}}/slurmd-%n.pid
SlurmctldLogFile={{folder}}/slurmctld.log
SlurmdLogFile={{folder}}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=2
MinJobAge=600
InactiveLimit=0
SchedulerParameters=sched_interval=2,defer_batch
"""


def _node(number: int) -> str:
    """The last one comes first in the eyes of the scheduler, for jobs that do not exclude it."""
    weight = 1 if number == len(NODES) else 10
    return (
        f"NodeName=n{number} NodeHostname=localhost NodeAddr=127.0.0.1 Port={17820 + number} CPUs=4 RealMemory=12000 "
        f"Gres=gpu:2 Weight={weight} State=UNKNOWN"
    )


def _on(process: psutil.Process, node: str) -> bool:
    return (process.info["environ"] or {}).get("SLURMD_NODENAME") == node


class Cluster:
    """Started as root, on a machine whose /etc/slurm holds no other SLURM's settings."""

    def __init__(self, folder: Path):
        self.folder = folder

    @staticmethod
    def missing() -> str:
        """Why no cluster can be started here; empty if one can."""
        if os.geteuid():
            return "starting SLURM needs root"
        absent = [name for name in ("slurmctld", "slurmd", "munged") if not shutil.which(name)]
        if absent:
            return f"{', '.join(absent)} missing: apt-get install slurm-wlm"
        other = CONFIG.exists() and not CONFIG.read_text().startswith(MARK)
        return f"{CONFIG} is another SLURM's" if other else ""

    def start(self) -> None:
        if why := self.missing():
            raise RuntimeError(why)
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        nodes = "\n".join(map(_node, range(1, len(NODES) + 1)))
        partition = f"PartitionName=main Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE State=UP"
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(f"{SETTINGS.format(folder=self.folder)}{nodes}\n{partition}\n")
        # a device needs a file; nothing opens these
        gpus = [f"NodeName={','.join(NODES)} Name=gpu File={file}\n" for file in ("/dev/null", "/dev/zero")]
        CONFIG.with_name("gres.conf").write_text("".join(gpus))
        subprocess.run(["mkdir", "-p", "/run/munge"], check=True)
        subprocess.run(["chown", "munge:", "/run/munge"], check=True)
        subprocess.run(["runuser", "-u", "munge", "--", "munged"], check=False)
        subprocess.run(["slurmctld"], check=True)
        for node in NODES:
            self.start_node(node)
        self.wait_for(lambda: self.states() == ["idle"] * len(NODES))

    def start_node(self, node: str) -> None:
        subprocess.run(["slurmd", "-N", node], check=True)

    def stop_node(self, node: str) -> None:
        """As when its power fails: daemon, job steps and jobs of the node are gone."""
        jobs = [each for each in psutil.process_iter(["environ"]) if _on(each, node)]
        # first who would tell the controller that the others are gone
        steps = {parent for each in jobs for parent in each.parents() if parent.name() == "slurmstepd"}
        daemon = psutil.Process(int((self.folder / f"slurmd-{node}.pid").read_text()))
        for each in [daemon, *steps, *jobs]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()

    def states(self) -> list[str]:
        shown = subprocess.run(["sinfo", "-h", "-N", "-o", "%t"], capture_output=True, text=True)
        return shown.stdout.split()

    def jobs(self, form: str = "%i %T %b %k") -> list[str]:
        shown = subprocess.run(["squeue", "-h", "-a", "-t", "all", "-o", form], capture_output=True, text=True)
        return shown.stdout.splitlines()

    def gpus(self, job: str) -> str:
        """What a job asked for of GPUs, such as `gres:gpu:1`; empty if nothing."""
        shown = subprocess.run(["scontrol", "show", "job", "-o", job], capture_output=True, text=True)
        found = re.search(r"TresPerJob=(\S+)", shown.stdout)
        return found[1] if found else ""

    def wait_for(self, condition, seconds: float = 60) -> None:
        for _ in range(int(seconds * 5)):
            if condition():
                return
            time.sleep(0.2)
        raise TimeoutError((self.states(), self.jobs()))

    def stop(self) -> None:
        subprocess.run(["scancel", "--user=root"], check=False)
        for daemon in ("slurmctld", "slurmd", "slurmstepd", "munged"):
            subprocess.run(["pkill", "-9", "-x", daemon], check=False)
        for file in (CONFIG, CONFIG.with_name("gres.conf")):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.folder)
