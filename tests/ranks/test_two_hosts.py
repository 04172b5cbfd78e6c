"""Ranks on two hosts: two network namespaces of this machine, with one link between them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import launchers
import pytest

BODIES = (
    "protocol.check_megabytes",
    "sampling.check_kakurenbo_replicated",
    "sampling.check_importance_sharded",
)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


LINK = "dynsample0"  # called so on both hosts


@dataclass
class Host:
    """A network namespace, and its address on the link."""

    name: str
    address: str

    def enter(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def wait_until_up(self, seconds: float = 10) -> None:
        """Return when the kernel has noticed the other end; until then MPI sees no link."""
        end = time.monotonic() + seconds
        while run(*self.enter("cat", f"/sys/class/net/{LINK}/operstate")).strip() != "up":
            if time.monotonic() > end:
                raise OSError(f"{LINK} of {self.name} did not come up in {seconds:g} s")
            time.sleep(0.01)

    def sent(self) -> int:
        """Bytes that left over the link."""
        listing = run(*self.enter("ip", "-json", "-statistics", "link", "show", LINK))
        return int(json.loads(listing)[0]["stats64"]["tx"]["bytes"])


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    if not shutil.which("ip"):
        pytest.skip("needs the command ip (iproute2)")
    mark = uuid.uuid4().hex[:6]
    pair = [Host(f"dynsample-{mark}-{end}", f"10.213.7.{end}") for end in (1, 2)]
    try:
        try:
            for host in pair:
                run("ip", "netns", "add", host.name)
            first, second = pair
            run("ip", "link", "add", LINK, "netns", first.name, "type", "veth",
                "peer", "name", LINK, "netns", second.name)  # fmt: skip
            for host in pair:
                run(*host.enter("ip", "address", "add", f"{host.address}/30", "dev", LINK))
                for link in (LINK, "lo"):
                    run(*host.enter("ip", "link", "set", link, "up"))
        except OSError as error:
            pytest.skip(f"network namespaces cannot be made here: {error}")
        for host in pair:
            host.wait_until_up()
        yield pair
    finally:
        for host in pair:
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)


def check(folder: Path, world: launchers.World, hosts: list[Host]) -> None:
    statuses = world.wait(200)
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("rank-*.json"))]
    assert [report["rank"] for report in reports] == [0, 1], world.output()
    for report in reports:
        assert report["size"] == 2
        assert report["bodies"] == dict.fromkeys(BODIES), world.output()
    assert set(statuses) == {0}, world.output()
    for host in hosts:  # nothing went another way, such as through shared memory
        assert host.sent() > 2**22, f"{host.sent()} bytes left {host.name}"


def test_torch_ranks_on_two_hosts(hosts: list[Host], tmp_path: Path) -> None:
    launchers.require("gloo")
    command = ["-m", "tests.ranks.world", "--transport", "torch", "--report", str(tmp_path)]
    meet = {
        "MASTER_ADDR": hosts[0].address,
        "MASTER_PORT": str(launchers.free_port()),
        "WORLD_SIZE": "2",
        "WORLD_STORE": "env://",
    }
    launches = [
        (host.enter(*launchers.python(*command, *BODIES)),
         {**meet, "RANK": str(rank), "GLOO_SOCKET_IFNAME": LINK})
        for rank, host in enumerate(hosts)
    ]  # fmt: skip
    with launchers.running(launches, tmp_path) as world:
        check(tmp_path, world, hosts)


def test_mpi_ranks_on_two_hosts(hosts: list[Host], tmp_path: Path) -> None:
    launchers.require("mpich")
    script = tmp_path / "enter-host"  # in the place of ssh: -x HOST COMMAND...
    names = "\n".join(f"  {host.address}) name={host.name} ;;" for host in hosts)
    script.write_text(
        f'#!/bin/sh\nshift\ncase "$1" in\n{names}\nesac\nshift\n'
        'exec ip netns exec "$name" unshare -u sh -c "hostname $name; exec $*"\n'
    )
    script.chmod(0o755)
    mpiexec = [
        str(launchers.mpich_launcher()), "-launcher", "ssh", "-launcher-exec", str(script),
        "-iface", LINK, "-hosts", ",".join(f"{host.address}:1" for host in hosts),
        "-n", "2", "-genv", "UCX_TLS", "tcp,self", "-genv", "UCX_NET_DEVICES", LINK,
        "-genv", "PATH", os.environ["PATH"],
    ]  # fmt: skip
    command = ["-m", "tests.ranks.world", "--transport", "mpi", "--report", str(tmp_path)]
    line = hosts[0].enter(*mpiexec, *launchers.python(*command, *BODIES))
    with launchers.running([(line, launchers.of_mpich())], tmp_path) as world:
        check(tmp_path, world, hosts)
