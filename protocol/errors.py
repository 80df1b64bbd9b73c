"""The error tree and the registry of reasons.

There are two ways to be wrong. Whoever is *outside* (a peer, a link that somebody pasted) can send
bytes that break a rule: that is a :class:`Refused`, with a :class:`Reason` from the registry, which
SPEC.md lists and the vectors name. Whoever is *inside* (a driver, a test) can call the core
wrongly: that is :class:`Misuse`, a bug in the caller.

``Refused`` never leaves :meth:`protocol.node.Node.handle`; there it becomes a hang-up or a
refusal of the entry.
"""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class Reason(IntEnum):
    """Why something was refused (SPEC.md, "Registry of reasons").

    The number goes on the wire, the slug (``entry-work``) into vectors, logs and messages.
    Numbers are never reused. 1-31 links and
    relays, 32-63 reconciliation, 64-95 entries, 96-127 boards and
    invites; 128 and above are free for extensions.
    """

    # Links
    LINK_HANDSHAKE = 1
    LINK_FRAME_SIZE = 2
    LINK_AUTHENTICATION = 3
    LINK_MESSAGE_MALFORMED = 4
    LINK_MESSAGE_UNKNOWN = 5
    LINK_MESSAGE_UNEXPECTED = 6
    LINK_MESSAGE_TOO_LARGE = 7
    LINK_TIMEOUT = 8
    LINK_IDLE = 9
    LINK_SLOW = 10
    LINK_SELF = 11
    LINK_DUPLICATE = 12
    LINK_FULL = 13
    LINK_LEAVING = 14
    LINK_REFRESH = 15
    LINK_LOST = 16
    LINK_INSTANCE = 17
    RELAY_MALFORMED = 18
    RELAY_WORK = 19

    # Reconciliation (Negentropy v1)
    RECONCILE_VERSION = 32
    RECONCILE_TRUNCATED = 33
    RECONCILE_VARINT = 34
    RECONCILE_BOUND_ORDER = 35
    RECONCILE_BOUND_SIZE = 36
    RECONCILE_MODE = 37
    RECONCILE_COUNT = 38
    RECONCILE_ROUNDS = 39

    # Entries
    ENTRY_MALFORMED = 64
    ENTRY_TRAILING_BYTES = 65
    ENTRY_NOT_CANONICAL = 66
    ENTRY_UNKNOWN_FIELD = 67
    ENTRY_VERSION = 68
    ENTRY_KIND = 69
    ENTRY_FIELD = 70
    ENTRY_STRUCTURE = 71
    ENTRY_WRONG_BOARD = 72
    ENTRY_TOO_LARGE = 73
    ENTRY_WORK = 74
    ENTRY_FUTURE = 75
    ENTRY_EXPIRED = 76
    ENTRY_PAYLOAD = 77
    ENTRY_SIGNATURE = 78

    # Boards and invites
    BOARD_MALFORMED = 96
    BOARD_VERSION = 97
    BOARD_FIELD = 98
    INVITE_NOT_A_LINK = 99
    INVITE_TRUNCATED = 100
    INVITE_MISTYPED = 101
    INVITE_VERSION = 102
    INVITE_MALFORMED = 103

    @property
    def slug(self) -> str:
        """The name in vectors, logs and SPEC.md: ``ENTRY_WORK`` is ``entry-work``."""
        return self.name.lower().replace("_", "-")


class ProtocolError(Exception):
    """The root of the tree."""


class Refused(ProtocolError):
    """Bytes from outside broke a rule.

    :param reason: the rule's name in the registry.
    :param detail: one clause for a person; holds nothing of what the bytes say.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.slug}: {detail}" if detail else reason.slug)
        self.reason = reason
        self.detail = detail


class Misuse(ProtocolError):
    """The core was called in a way its documentation rules out: a bug in the caller."""
