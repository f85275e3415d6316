"""The batch script of docs/scale.md, as it stands there, with stand-ins for what a cluster's queue does."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_commands import toml
from tests.toys import TOYS

ROOT = Path(__file__).parents[2]

WAITING = """
import time
from pathlib import Path

from tests.toys import Words


class Waiting(Words):
    def propose(self, jobs):
        Path("began").touch()
        while not Path("go").exists():
            time.sleep(0.01)
        return super().propose(jobs)
"""


def job(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["bash", "job.sh"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={
            **os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
            "SLURM_JOB_ID": "17", "SLURM_CPUS_PER_TASK": "1",
        },
    )  # fmt: skip


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("number", "queued"),
    [(signal.SIGUSR1, True), pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow)],
    ids=["time", "cancelled"],
)
def test_a_job_whose_time_is_up_is_queued_again_and_goes_on(tmp_path: Path, number: int, queued: bool) -> None:
    [script] = re.findall(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", (ROOT / "docs" / "scale.md").read_text(), re.DOTALL)
    (tmp_path / "job.sh").write_text(script)
    (tmp_path / "waiting.py").write_text(WAITING)
    (tmp_path / "run.toml").write_text(toml({**TOYS, "policy": {"plugin": "waiting:Waiting"}}))
    program(tmp_path / "bin" / "rrm", f'exec {sys.executable} -m rrm "$@"')
    program(tmp_path / "bin" / "scontrol", 'echo "$@" >> queued')
    with job(tmp_path) as first:
        while not (tmp_path / "began").exists():
            assert first.poll() is None, first.communicate()
            time.sleep(0.05)
        first.send_signal(number)
        said = first.communicate()[1]
    assert first.returncode == 143, said
    assert "terminated; nothing recorded is lost, resume with: rrm run run.toml --out runs/mine" in said
    assert (tmp_path / "queued").exists() == queued
    (tmp_path / "go").touch()
    with job(tmp_path) as second:
        said = second.communicate()[1]
    assert second.returncode == 0, said
    assert not queued or (tmp_path / "queued").read_text() == "requeue 17\n"
    assert (tmp_path / "runs" / "mine" / "report.html").exists()
