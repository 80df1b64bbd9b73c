"""What must hold in every world, looked at while it runs: the rules that no fault may break.

Two ways of looking. *At once*: each message that an honest host sends or gets, and each event that
it tells its application, is held against its disk at that moment; that costs a few look-ups.
*Scans*: each host is gone through every few virtual seconds and at each start, before the network
can put right what a crash has lost. A scan looks at what is new since the last one, and every so
often at everything.

The checkers know the truth from outside of the core: they decode and verify what is on a disk
themselves, and know an own entry from the host's user, not from its outbox. Adversaries are not
held to anything; what they make honest hosts do is.

Rules, by the names that violations carry:

=====================  ===========================================================================
invalid-stored         an entry on a disk is not valid by its bytes, its board and the clock
invalid-shown          the application was told of an entry that is not on the disk, or not valid
acknowledged-lost      an entry whose writer was told "kept" is neither in outbox nor on disk
told-lost              something that peers were told of, or given, is not on the disk any more
announced-not-durable  announced before it was on the disk
served-not-durable     given to a peer before it was on the disk
answer-incomplete      asked for, on the disk, and left out of the answer
own-early              an own entry announced, served, counted or shown as back before the
                       network brought it
index-disk             what the core says it has is not what the disk has
bound                  a queue or table is longer than protocol.limits says
not-converged          healed and calm, and after the stated time not everybody has everything
=====================  ===========================================================================
"""

from simnet.checkers.bounds import lengths, node_lengths
from simnet.checkers.goals import honest_parts
from simnet.checkers.violations import Violated, Violation
from simnet.checkers.watching import SCAN_US, Checkers

__all__ = [
    "SCAN_US",
    "Checkers",
    "Violated",
    "Violation",
    "honest_parts",
    "lengths",
    "node_lengths",
]
