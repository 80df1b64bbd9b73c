"""A LAN of network namespaces: a bridge in one, hosts with real nodes in the others.

Everything is made by the test and goes with it; nothing here touches the machine's own network.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STARTUP_SECONDS_MAX = 30.0
COMMAND_SECONDS_MAX = 30.0
_WITH_HOST_NAME = 'echo "$0" > /proc/sys/kernel/hostname; exec "$@"'


def ip(*words: str) -> str:
    """Run ``ip``; its output."""
    done = subprocess.run(("ip", *words), check=True, capture_output=True, text=True, timeout=20)
    return done.stdout


class LanHost:
    """A namespace with one address on the bridge, and a node's home."""

    def __init__(self, lan: Lan, name: str, number: int, home: Path) -> None:
        self.lan = lan
        self.name = name
        self.address = f"10.77.0.{number}"
        self.home = home
        self.namespace = f"{lan.prefix}{name}"
        self._port = f"{lan.prefix}{number}"
        self._node: subprocess.Popen[str] | None = None
        self._log = home.with_suffix(".log")
        ip("netns", "add", self.namespace)
        ip("-n", self.namespace, "link", "set", "lo", "up")
        inside = ("eth0", "netns", self.namespace)
        ip("-n", lan.switch, "link", "add", self._port, "type", "veth", "peer", "name", *inside)
        ip("-n", lan.switch, "link", "set", self._port, "master", "br0", "up")
        ip("-n", self.namespace, "address", "add", f"{self.address}/24", "dev", "eth0")
        # A cable carries no more than its MTU at once; without this, captures show TCP as it
        # leaves the kernel, before a card would have cut it.
        ip("-n", self.namespace, "link", "set", "eth0", "gso_max_segs", "1")
        ip("-n", self.namespace, "link", "set", "eth0", "up")

    def command(self, *words: str) -> list[str]:
        """A p2pboard command line that runs on this host."""
        # A machine's name of its own, to be looked for in packets.
        named = ("unshare", "--uts", "sh", "-c", _WITH_HOST_NAME, self.lan.machine_name)
        inside = ("ip", "netns", "exec", self.namespace, *named)
        return [*inside, sys.executable, "-m", "p2pboard", "--home", str(self.home), *words]

    def python(self, *words: str) -> list[str]:
        """A command line of Python that runs on this host."""
        return ["ip", "netns", "exec", self.namespace, sys.executable, *words]

    def ethernet(self) -> bytes:
        """The address of its interface."""
        shown = ip("-n", self.namespace, "-j", "link", "show", "eth0")
        return bytes.fromhex(json.loads(shown)[0]["address"].replace(":", ""))

    def spent_s(self) -> float:
        """Processor time that its node has used, in user and system mode."""
        assert self._node is not None
        # The name may have blanks in it; the times are the 14th and 15th field (proc(5)).
        stat = Path(f"/proc/{self._node.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def run(self, *words: str) -> str:
        """Run a p2pboard command; its output."""
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            env=self.lan.environment,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout

    def json(self, *words: str) -> list[dict[str, Any]]:
        """Run a command with --json; one object a line."""
        return [json.loads(line) for line in self.run(*words, "--json").splitlines()]

    def texts(self, board: str) -> set[str]:
        """What can be read on a board."""
        return {entry["text"] for entry in self.json("read", board) if entry["state"] == "shown"}

    def start(self, *words: str) -> None:
        """Start a node and wait until it answers."""
        with self._log.open("a") as log:
            self._node = subprocess.Popen(
                self.command("run", *words),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env=self.lan.environment,
            )
        until(lambda: (self.home / "local.json").exists(), STARTUP_SECONDS_MAX, self.log)
        until(lambda: bool(self.run("status", "--json")), STARTUP_SECONDS_MAX, self.log)

    def stop(self) -> None:
        """Stop the node as Ctrl-C does."""
        if self._node is not None:
            self._node.terminate()
            try:
                self._node.wait(10)
            except subprocess.TimeoutExpired:
                self._node.kill()
                self._node.wait(10)
            self._node = None

    def cut(self) -> None:
        """Pull the cable."""
        ip("-n", self.lan.switch, "link", "set", self._port, "down")

    def join(self) -> None:
        """Plug it in again."""
        ip("-n", self.lan.switch, "link", "set", self._port, "up")

    def log(self) -> str:
        """What the node printed."""
        return self._log.read_text() if self._log.exists() else ""

    def destroy(self) -> None:
        """Stop, and remove the namespace with its interfaces."""
        self.stop()
        subprocess.run(("ip", "netns", "delete", self.namespace), capture_output=True, timeout=20)


class Lan:
    """A switch; hosts are added to it."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        # Short, because an interface name has 15 characters; random, because tests may run twice.
        self.prefix = f"pb{secrets.token_hex(3)}"
        self.switch = f"{self.prefix}sw"
        self.machine_name = f"laptop-of-{self.prefix}"
        self.environment = {**os.environ, **(environment or {})}
        self.hosts: list[LanHost] = []
        ip("netns", "add", self.switch)
        ip("-n", self.switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        ip("-n", self.switch, "link", "set", "br0", "up")

    def host(self, name: str) -> LanHost:
        """One more host."""
        host = LanHost(self, name, len(self.hosts) + 1, self.folder / name)
        self.hosts.append(host)
        return host

    @contextmanager
    def capture(self) -> Iterator[Path]:
        """Every packet on the bridge while the block runs, in a pcap file."""
        path = self.folder / "capture.pcap"
        capturing = subprocess.Popen(
            ("ip", "netns", "exec", self.switch, sys.executable, "-m", "tests.lan.capture", path),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert capturing.stdout is not None and capturing.stdout.readline() == "capturing\n"
        try:
            yield path
        finally:
            capturing.terminate()
            capturing.wait(10)
            capturing.stdout.close()

    def destroy(self) -> None:
        """Remove all of it."""
        for host in self.hosts:
            host.destroy()
        subprocess.run(("ip", "netns", "delete", self.switch), capture_output=True, timeout=20)


@contextmanager
def lan(folder: Path, environment: dict[str, str] | None = None) -> Iterator[Lan]:
    """A LAN for the length of a test."""
    made = Lan(folder, environment)
    try:
        yield made
    finally:
        made.destroy()


def until(is_true: Any, seconds_max: float, explain: Any = lambda: "") -> float:
    """Wait for real processes; the seconds that it took."""
    begun = time.monotonic()
    while not is_true():
        waited = time.monotonic() - begun
        assert waited < seconds_max, f"not within {seconds_max} s\n{explain()}"
        time.sleep(0.05)  # real processes in real time: there is no clock to advance
    return time.monotonic() - begun
