"""Worlds drawn from a seed: who does what, what breaks when; used by the convergence tests."""

from __future__ import annotations

from protocol.board import Descriptor
from protocol.entry import Entry
from protocol.persona import Persona
from simnet.faults import ROUGH, Faults
from simnet.host import Host
from simnet.world import World

BOARD = Descriptor("test", work_bits=0)


class RandomWorld:
    """Hosts that post, answer, retract, forget, fork, crash and are cut off, at random.

    :ivar written: each entry that a host acknowledged to its user; one that a crash cut off before
        that is nobody's.
    """

    def __init__(self, seed: int, faults: Faults = ROUGH, hosts_max: int = 7) -> None:
        self.world = World(seed, faults)
        self.random = self.world.random("actions")
        self.hosts = self.world.add_hosts(self.random.randint(2, hosts_max), BOARD)
        self.forgetting: list[tuple[Host, Entry]] = []
        self._personas: list[tuple[Host, Entry, Persona]] = []

    def act(self, steps: int) -> None:
        """Let things happen."""
        actions = (
            (8, self._post),
            (4, self._answer),
            (2, self._write_on),
            (1, self._fork),
            (1, self._retract),
            (2, self._forget),
            (2, self._crash),
            (3, self._start),
            (1, self._split),
            (2, self.world.network.heal),
        )
        weights, acts = zip(*actions, strict=True)
        for _ in range(steps):
            self.random.choices(acts, weights)[0]()
            self.world.run(self.random.choice((0.01, 0.1, 1.0, 5.0)))

    def heal(self) -> None:
        """Everybody on, nobody cut off, and calm."""
        self.world.network.heal()
        self.world.faults = Faults()
        for host in self.hosts:
            if not host.is_on:
                host.start()

    def has_converged(self) -> bool:
        """Whether all have the same entries, and every own entry came back that anybody wants."""
        sets = [host.ids() for host in self.hosts]
        return all(ids == sets[0] for ids in sets) and not any(
            self._is_wanted(identifier, host)
            for host in self.hosts
            for identifier in host.disk().outbox
        )

    def _is_wanted(self, identifier: bytes, author: Host) -> bool:
        # What everybody else has forgotten can't come back: its author alone keeps it.
        others = [host for host in self.hosts if host is not author]
        return any(identifier not in host.disk().forgotten for host in others)

    def _some_host(self) -> Host:
        return self.random.choice(self.hosts)

    @property
    def written(self) -> list[Entry]:
        return [entry for host in self.hosts for entry in host.acknowledged]

    def _keep(self, host: Host, entry: Entry, persona: Persona) -> None:
        self._personas.append((host, entry, persona))

    def _post(self) -> None:
        host = self._some_host()
        self._keep(host, *host.post(f"post {len(self.written)}"))

    def _answer(self) -> None:
        host = self._some_host()
        known = [entry for disk in host.disks.values() for entry in disk.entries.values()]
        if known:
            self._keep(host, *host.post("answer", answering=self.random.choice(known)))

    def _write_on(self) -> None:
        if self._personas:
            host, entry, persona = self._personas.pop()
            self._keep(host, *host.post("more", answering=entry, persona=persona))

    def _fork(self) -> None:
        """The same persona state used twice: two entries with one sequence number."""
        if self._personas:
            host, entry, persona = self._personas.pop()
            for text in ("this way", "that way"):
                self._keep(host, *host.post(text, answering=entry, persona=persona))

    def _retract(self) -> None:
        if self._personas:
            host, entry, persona = self._personas.pop()
            self._keep(host, *host.retract(entry, persona))

    def _forget(self) -> None:
        host = self._some_host()
        known = [entry for disk in host.disks.values() for entry in disk.entries.values()]
        if known:
            entry = self.random.choice(known)
            host.forget(entry)
            self.forgetting.append((host, entry))

    def _crash(self) -> None:
        on = [host for host in self.hosts if host.is_on]
        if len(on) > 1:
            self.random.choice(on).crash()

    def _start(self) -> None:
        off = [host for host in self.hosts if not host.is_on]
        if off:
            self.random.choice(off).start()

    def _split(self) -> None:
        cut = self.random.randint(1, len(self.hosts) - 1)
        shuffled = self.random.sample(self.hosts, len(self.hosts))
        self.world.network.split(shuffled[:cut], shuffled[cut:])
