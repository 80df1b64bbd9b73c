"""What a virtual host keeps of one board, as far as it is durable."""

from __future__ import annotations

from dataclasses import dataclass, field

from protocol.entry import Entry, Kind, payload_text
from protocol.index import encode_key


@dataclass
class Disk:
    """Entries, what was forgotten, the outbox. Only what is durable is in here: a write under way
    is with the host, and a crash drops it."""

    entries: dict[bytes, Entry] = field(default_factory=dict)
    forgotten: set[bytes] = field(default_factory=set)
    outbox: dict[bytes, Entry] = field(default_factory=dict)

    def put(self, entry: Entry) -> bool:
        """Store; whether the payload is wanted and lacking now."""
        known = self.entries.get(entry.id)
        if entry.id in self.forgotten:
            entry = entry._replace(payload=None)
        elif known is not None and known.payload is not None:
            entry = known
        self.entries[entry.id] = entry
        is_lacking = entry.payload is None and entry.id not in self.forgotten
        if not is_lacking:
            self.outbox.pop(entry.id, None)
        return is_lacking

    def forget(self, identifier: bytes) -> None:
        """Keep the header, drop what it said. An own entry that has not come back is not waited for
        any more: what would come back is not wanted here."""
        self.forgotten.add(identifier)
        self.outbox.pop(identifier, None)
        if identifier in self.entries:
            self.entries[identifier] = self.entries[identifier]._replace(payload=None)

    def expire(self, bucket: int) -> None:
        """Drop what is older, without trace."""
        for entry in [e for e in self.entries.values() if e.header.bucket < bucket]:
            del self.entries[entry.id]

    def load(self, ids: tuple[bytes, ...], bytes_max: int) -> tuple[int, tuple[Entry, ...]]:
        """How many of the ids are dealt with, and the entries, in log order."""
        found: list[Entry] = []
        covered = size = 0
        for identifier in ids:
            if size >= bytes_max:
                break
            covered += 1
            if identifier in self.entries:
                found.append(self.entries[identifier])
                size += found[-1].wire_bytes
        found.sort(key=lambda entry: (entry.header.bucket, entry.header.seq))
        return covered, tuple(found)

    def lacking(self) -> tuple[bytes, ...]:
        """Ids whose payload is wanted and was never had."""
        return tuple(
            entry.id
            for entry in self.entries.values()
            if entry.payload is None and entry.id not in self.forgotten
        )

    def keys(self) -> list[bytes]:
        """The index keys of everything stored, sorted."""
        return sorted(encode_key(entry.timestamp, entry.id) for entry in self.entries.values())

    def texts(self) -> list[str]:
        """What can be read, sorted."""
        return sorted(
            payload_text(entry.payload)
            for entry in self.entries.values()
            if entry.header.kind == Kind.POST and entry.payload is not None
        )
