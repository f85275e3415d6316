"""Two machines for real: namespaces of network and mounts, a router between them, and a Ray cluster over both.

The second machine has files of its own in place of the temporary folder, shared memory and the run's folder, so
that what reaches it came over the network. The router can lose all that it is given, without a word.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import rrm
from rrm.store import open_store
from tests.engines.test_remote_runs import files_of, on_record
from tests.reward.joint_problems import save_decoder
from tests.toys import TOYS

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HEAD, OTHER = "10.77.1.2", "10.77.2.2"
ENDS = {"a": ("10.77.1.1", HEAD), "b": ("10.77.2.1", OTHER)}
STORE = "--object-store-memory=80000000"
ROOT = Path(__file__).parents[2]


class Nodes(NamedTuple):
    """The two machines: `head` and `other` are prefixes of commands, `folder` is of the head alone."""

    head: tuple[str, ...]
    other: tuple[str, ...]
    router: tuple[str, ...]
    folder: Path
    environment: dict[str, str]


def said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def until(seconds: float, holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} in vain for {seconds:g} seconds"
        time.sleep(0.2)


@contextmanager
def namespaces() -> Iterator[dict[str, str]]:
    """Lay two networks and a router between them; skip where this is not allowed."""
    if shutil.which("ip") is None or shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("SKIPPED LOUDLY: two nodes on one machine need root, ip and unshare")
    names = {key: f"rrm-{os.getpid()}-{key}" for key in ("a", "b", "r")}
    try:
        for name in names.values():
            said("ip", "netns", "add", name)
            said("ip", "-n", name, "link", "set", "dev", "lo", "up")
        for key, (router, node) in ENDS.items():
            near, far = f"rrm{key}0", f"rrm{key}1"
            said("ip", "link", "add", "dev", near, "type", "veth", "peer", "name", far)
            for device, name, address in ((near, names["r"], router), (far, names[key], node)):
                said("ip", "link", "set", "dev", device, "netns", name)
                said("ip", "-n", name, "addr", "add", f"{address}/24", "dev", device)
                said("ip", "-n", name, "link", "set", "dev", device, "up")
            said("ip", "-n", names[key], "route", "add", "default", "via", router)
        said("ip", "netns", "exec", names["r"], "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    except subprocess.CalledProcessError as error:
        _remove(names)
        pytest.skip(f"SKIPPED LOUDLY: no namespaces here: {error.stderr}")
    try:
        yield names
    finally:
        _remove(names)


def _remove(names: dict[str, str]) -> None:
    for name in names.values():
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
        subprocess.run(["kill", "-9", *pids], capture_output=True) if pids else None
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    folder = Path(tempfile.mkdtemp(prefix="rrm-two-", dir="/tmp"))  # a short path, for sockets
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5" * 64, "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "HOME": str(folder),
    }  # fmt: skip
    ray = str(Path(sys.executable).with_name("ray"))
    with namespaces() as names:
        a, b, r = (("ip", "netns", "exec", names[key]) for key in ("a", "b", "r"))
        begun = []
        try:
            head = [ray, "start", "--head", f"--node-ip-address={HEAD}", "--port=6379", "--num-cpus=1", STORE]
            head += ["--include-dashboard=false", f"--temp-dir={folder}/ray", "--disable-usage-stats", "--block"]
            begun.append(subprocess.Popen([*a, *head], env=environment, stdout=subprocess.DEVNULL))
            up = [*a, sys.executable, "-c", f"import socket; socket.create_connection(('{HEAD}', 6379), 2)"]
            until(120, lambda: subprocess.run(up, capture_output=True).returncode == 0, "waited for Ray's head")
            hidden = ["/tmp", "/dev/shm", str(tmp_path)]
            mounts = "; ".join(f"mkdir -p {each}; mount -t tmpfs none {each}" for each in hidden)
            other = f"{mounts}; mkdir -p $TMPDIR /tmp/ray; touch /tmp/there; exec {ray} start --address={HEAD}:6379"
            other += f" --node-ip-address={OTHER} --num-cpus=1 {STORE} --block"
            begun.append(
                subprocess.Popen([*b, "unshare", "-m", "sh", "-c", other], env=environment, stdout=subprocess.DEVNULL)
            )
            within = ("nsenter", "-t", str(begun[1].pid), "-m")
            whole = "import ray; ray.init('auto', log_to_driver=False); assert ray.cluster_resources()['CPU'] == 2"
            see = [*a, sys.executable, "-c", whole.replace("'auto'", f"'{HEAD}:6379'")]
            until(
                180, lambda: subprocess.run(see, env=environment, capture_output=True).returncode == 0, "waited for two"
            )
            yield Nodes(a, within, r, folder, environment)
        finally:
            for process in begun:
                process.kill()
                process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def table(seconds: float) -> dict[str, Any]:
    """A run whose policy takes so long, by both machines."""
    policy = {**TOYS["policy"], "plugin": "tests.engines.slow_parts:Slow", "arguments": {"seconds": seconds}}
    engine = {"plugin": "ray", "arguments": {"address": f"{HEAD}:6379", "workers": [{"cpus": 1, "count": 2}]}}
    return {**TOYS, "policy": policy, "engine": engine}


def begin(nodes: Nodes, table: dict[str, Any], out: Path) -> "subprocess.Popen[str]":
    code = "import json, rrm, sys; rrm.run(rrm.run_file(json.loads(sys.argv[1])), sys.argv[2])"
    command = [*nodes.head, sys.executable, "-c", code, json.dumps(table), str(out)]
    return subprocess.Popen(command, env=nodes.environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_a_run_over_two_machines_is_the_same_and_its_models_travel(nodes: Nodes, tmp_path: Path) -> None:
    rrm.run(rrm.run_file(TOYS), tmp_path / "here", quiet=True)
    run = begin(nodes, table(0.0), tmp_path / "away")
    assert run.wait(400) == 0, run.stderr and run.stderr.read()
    assert on_record(tmp_path / "away") == on_record(tmp_path / "here")
    travelled = said(*nodes.other, "sh", "-c", f"cd {nodes.folder}/rrm-workers-*/run-*/models && ls")
    assert travelled.split(), "no model came to the second machine"
    assert not said(*nodes.other, "ls", str(tmp_path)).split(), "the second machine sees the run's folder"


def test_a_run_ends_as_ever_where_the_way_between_its_machines_is_cut(nodes: Nodes, tmp_path: Path) -> None:
    rrm.run(rrm.run_file(TOYS), tmp_path / "here", quiet=True)
    run = begin(nodes, table(1.0), tmp_path / "away")

    def proposed() -> int:
        with suppress(rrm.RrmError), open_store(tmp_path / "away", "read") as record:
            return sum(each.done for each in record.counts() if each.step == "propose")
        return 0  # it is being made

    until(300, lambda: proposed() > 2, "waited for proposals")
    for end in (HEAD, OTHER):
        said(*nodes.router, "ip", "route", "add", "blackhole", f"{end}/32")
    assert run.wait(500) == 0, run.stderr and run.stderr.read()
    told = run.stderr.read() if run.stderr else ""
    assert "worker" in told and "another takes its place: it gave no sign of working for 30 seconds" in told, told
    assert on_record(tmp_path / "away") == on_record(tmp_path / "here")


def test_a_fit_is_a_process_group_over_two_machines_and_the_same_as_on_one(nodes: Nodes, tmp_path: Path) -> None:
    decoder = save_decoder(nodes.folder / "decoder")
    with tarfile.open(tmp_path / "decoder.tar", "w") as packed:
        packed.add(decoder, "decoder")
    with (tmp_path / "decoder.tar").open("rb") as packed:  # each machine has the backbone at the same place
        subprocess.run([*nodes.other, "tar", "-x", "-C", str(nodes.folder)], stdin=packed, check=True)
    arguments = {"backbone": str(decoder), "members": 2, "epochs": 10, "rows_per_update": 4, "save_every": 5}
    arguments |= {"device": "cpu", "dtype": "float32"}
    reward = {"plugin": "rrm.reward.tuned:Tuned", "arguments": arguments}
    tuned = {**TOYS, "decomposer": {"plugin": "tests.engines.slow_parts:Undivided"}, "reward": reward}
    fits = {"workers": [{"cpus": 1, "count": 2, "steps": ["fit"]}], "ranks": 2}
    rrm.run(rrm.run_file({**tuned, "engine": {"plugin": "local", "arguments": fits}}), tmp_path / "here", quiet=True)
    engine = {"plugin": "ray", "arguments": {**fits, "address": f"{HEAD}:6379"}}
    refused = begin(nodes, {**tuned, "engine": engine}, tmp_path / "refused")
    assert refused.wait(300) == 1 and refused.stderr is not None
    assert "the first rank cannot be reached at 127.0.0.1:" in refused.stderr.read(), "the network was not named"
    engine["arguments"] |= {"network": "10.77.0.0/16"}
    away = begin(nodes, {**tuned, "engine": engine}, tmp_path / "away")
    assert away.wait(400) == 0, away.stderr and away.stderr.read()
    assert on_record(tmp_path / "away") == on_record(tmp_path / "here")
    assert files_of(tmp_path / "away" / "models") == files_of(tmp_path / "here" / "models")
