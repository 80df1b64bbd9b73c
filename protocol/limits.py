"""Every bound in one place, each with its source or the honest word "guess".

Units last in each name. SPEC.md, "Timers and limits", lists those that the other side can notice.
"""

from __future__ import annotations

# --- Frames (SPEC.md, "Frames") -------------------------------------------------------------------

#: Sizes of a frame on the wire, length field and tag included. Few, so that a size says little:
#: one announcement, a handful of entries, a cell with room (2048), a batch. 65536 is the largest
#: that Noise (65535 bytes a message, section 3) allows with our two-byte length in front.
FRAME_WIRE_BYTES = (512, 2048, 8192, 65536)
#: A direction's key is replaced after this many of its frames. Noise section 11.3 leaves the number
#: to the application; guess: often enough that a seized laptop's memory opens little of the past.
REKEY_FRAMES = 1024

# --- Reconciliation (SPEC.md, "Reconciliation") ---------------------------------------------------

#: A reconciliation message is cut off at about this many bytes (Negentropy's frame size limit;
#: strfry, its best-known user, takes 500,000; ours must not hold up live traffic for long).
RECONCILE_BYTES_MAX = 60_000
#: An id list or a run of bounds can't be longer than a message.
RECONCILE_MESSAGE_BYTES_MAX = 2 * RECONCILE_BYTES_MAX

# --- Boards, invites, entries (SPEC.md, "Boards", "Entries") --------------------------------------

BOARD_NAME_CHARACTERS_MAX = 64
#: A month: long enough to come back from holidays, short enough that little lies about. Guess.
RETENTION_DAYS_DEFAULT = 30
RETENTION_DAYS_MAX = 3650
#: Some five pages of text. Guess.
PAYLOAD_BYTES_DEFAULT = 8192
PAYLOAD_BYTES_LEAST = 256
#: A whole payload must fit one message with room to spare.
PAYLOAD_BYTES_MOST = 65536
#: 2^14 hashes: some tens of milliseconds in Python for the writer, a microsecond for a reader.
WORK_BITS_DEFAULT = 14
#: 2^28 hashes are minutes of a fast machine; beyond it nobody could post.
WORK_BITS_MAX = 28
INVITE_ADDRESSES_MAX = 8
#: Eight addresses of 255 characters and a descriptor, in base32, with room.
INVITE_CHARACTERS_MAX = 4096
#: A header with every field at its largest has 202 bytes; the rest is slack for later versions.
HEADER_BYTES_MAX = 512
#: Laptops' clocks differ by minutes, not by half an hour; two buckets of ten minutes. Guess.
FUTURE_BUCKETS_MAX = 2

# --- Messages (SPEC.md, "Messages") ---------------------------------------------------------------

#: A batch of entries, the last of which may be as large as an entry gets.
ENTRIES_BATCH_BYTES = 192 * 1024
MESSAGE_BODY_BYTES_MAX = 384 * 1024
#: Short messages that are understood without being decoded again. Guess: the announcements of some
#: seconds of much talk, half a megabyte.
MESSAGES_KNOWN_MAX = 1024
ANNOUNCE_ITEMS_MAX = 1024
WANT_IDS_MAX = 512
PEERS_ADDRESSES_MAX = 16
#: The longest text form of an IPv6 address with a zone is shorter.
HOST_CHARACTERS_MAX = 64

# --- Links (SPEC.md, "Links", "Timers and limits") ------------------------------------------------

#: Both messages of the handshake have this size, whatever is in them.
HANDSHAKE_MESSAGE_BYTES = 96
HANDSHAKE_MS_MAX = 10_000
#: A connection that did not prove membership is read to nowhere for a random time in this range
#: and then closed: a service that says nothing (after the advice against active probing of Frolov,
#: Wampler and Wustrow, NDSS 2020, "Detecting Probe-resistant Proxies").
SILENCE_MS_RANGE = (10_000, 30_000)
#: Clocks of members may differ by this much; further apart entries would be refused as well.
HANDSHAKE_SKEW_S_MAX = 3600
#: First messages remembered against replay. An outsider can't add to them. Guess.
REPLAYS_REMEMBERED_MAX = 65_536
LINKS_UNPROVEN_MAX = 64
#: One host can't take all of them from the others: as many as it may have boards, with room.
LINKS_UNPROVEN_PER_HOST_MAX = 32
LINKS_PER_BOARD_MAX = 32
#: Up to so many peers are dialled; a smaller board is linked completely. After the active views of
#: HyParView (DSN 2007: log10(n) + 1, 5 for 10,000 nodes), a little more against eclipses.
LINKS_DIALLED_TARGET = 8
#: So many are in our own subnet (/24, /64); these more are for elsewhere, and no more into any one
#: other subnet: or a segment of many nodes is linked with itself alone, as simulated campuses were.
LINKS_ELSEWHERE_TARGET = 2
#: What people gave may be the only way out of a segment: it is dialled beyond the other bounds.
LINKS_GIVEN_EXTRA = 4
LINKS_DIALLED_MAX = LINKS_DIALLED_TARGET + LINKS_ELSEWHERE_TARGET + LINKS_GIVEN_EXTRA
#: One dialled link is given up now and then where there are others to try.
LINK_REFRESH_MS_RANGE = (600_000, 1_200_000)
PING_AFTER_MS = 45_000
IDLE_MS_MAX = 90_000
#: Bytes that may wait in a driver's queue for one link before we stop reading the disk for it ...
SEND_LOW_BYTES = 512 * 1024
#: ... and before it is hung up on: a peer that does not read must not hold our memory.
SEND_BYTES_MAX = 8 * 1024 * 1024

# --- Addresses ------------------------------------------------------------------------------------

ADDRESSES_PER_BOARD_MAX = 256
#: What was found out about so many hosts' addresses is remembered, whatever they are told for: some
#: 3 MB of a process; a board of ten thousand simulated in one keeps all of them.
ADDRESSES_JUDGED_MAX = 16_384
DIALS_AT_ONCE_MAX = 4
REDIAL_MS_RANGE = (1_000, 300_000)
REDIAL_GIVEN_MS_MAX = 60_000
PEERS_TOLD_MS_RANGE = (120_000, 300_000)

# --- Gossip and fetching --------------------------------------------------------------------------

#: A new id waits for up to so long before it is announced, so that a burst goes as one message and
#: the order of announcements says little. Guess; the mix, not this, hides the origin.
ANNOUNCE_JITTER_MS_MAX = 100
REQUESTS_PER_LINK_MAX = 4
#: Ids in one request: a request of these is some 150 KB of short posts, a batch.
REQUEST_IDS = 256
#: In the one request that a link may always have, whatever is asked of the others.
REQUEST_IDS_LEAST = 32
#: A request without any progress for so long is a peer that does not answer.
REQUEST_MS_MAX = 20_000
#: Ids known to be missing and not asked for yet, per board: more are found again by reconciling.
WANTED_MAX = 16_384
#: Reconciling goes on only when fewer than this many of what it found are left to fetch.
WANTED_LOW = 2_048
#: Entries between the network and the disk.
ARRIVING_MAX = 4_096
#: The same in bytes, if each were as large as its board allows. Guess.
ARRIVING_BYTES_MAX = 32 * 1024 * 1024
#: Peers remembered to have an entry that is wanted; of a payload alone, all that are linked.
HOLDERS_MAX = 4
#: Entries whose payload is asked for around.
LACKING_MAX = 4_096
#: Ids that were refused for their time, not to be fetched again at each turn.
DEFERRED_MAX = 4_096
DEFERRED_MS = 600_000
RECONCILE_AGAIN_MS_RANGE = (60_000, 120_000)
RECONCILE_ROUNDS_MAX = 65_536
OUTBOX_MAX = 1_024
EXPIRE_EVERY_MS = 600_000
#: More than this waiting to be announced to one peer: it is told to reconcile instead.
ANNOUNCE_QUEUE_MAX = 8_192

# --- Cells, relays, the mix (SPEC.md, "Cells", "Relays", "The mix") -------------------------------

#: The least MTU of IPv6 (1280, RFC 8200 section 5) less its header (40) and UDP's (8): a cell is
#: never cut into fragments, whatever tunnel or Wi-Fi it goes through.
CELL_BYTES = 1232
#: The most relays that a cell has room for, so that nobody learns more than that there are fewer.
PATH_RELAYS_MAX = 5
#: Against members that collude and compare times, five short delays hide more than three long ones
#: for the same bytes and the same wait (docs/anonymity.md, "Why five relays").
PATH_RELAYS = 5
#: A relay's key lives for an hour and is taken for one more, so that clocks may differ by one.
RELAY_EPOCH_S = 3600
#: How long before the end of an epoch the record for the next one may go out.
RELAY_RENEW_S = 600
#: A record costs so many bits more than an entry: it is made once an hour. Guess.
RELAY_WORK_BITS_EXTRA = 4
#: Addresses that one node may have records for: more interfaces than a laptop has on one board.
RELAY_HOSTS_MAX = 4
RELAY_RECORD_BYTES_MAX = 96
RELAYS_ITEMS_MAX = 64
#: Records known for a board: 100 KB, and far more than a mix gains anything from. Guess.
RELAYS_MAX = 1024
#: A relay that a test cell came home through is believed to be alive for so long, if none gets lost
#: meanwhile: at the normal pace a node can ask some 600 in that time.
RELAY_ALIVE_MS = 1_800_000
#: Copies of cells remembered for one key: at 50 cells a second for its two hours. Guess.
CELLS_REMEMBERED_MAX = 360_000
#: Cells that wait here for their time: a thousand nodes' worth at a mean delay of some seconds.
CELLS_HELD_MAX = 4096
#: Cells from one address: a second, and at once. Ten times what a node sends on one board. Guess.
CELLS_PER_HOST_PER_S = 50
CELLS_PER_HOST_BURST = 200
CELL_HOSTS_MAX = 4096
#: Of the cells that a node emits, one in so many goes home again (Loopix has a rate of its own for
#: these loops; here both are one Poisson process).
LOOP_ONE_IN = 6
LOOPS_REMEMBERED_MAX = 256
#: A loop that is not home after so many mean delays is lost: one in 10,000 that is not (the sum of
#: four exponential delays).
LOOP_PATIENCE_DELAYS = 16
#: Entries that come in pieces.
TRANSFERS_MAX = 64
TRANSFERS_BYTES_MAX = 4 * 1024 * 1024
TRANSFER_MS_MAX = 300_000
PIECES_MAX = 80
#: By pace (brisk, normal, calm): the mean time between two emissions of a node and the mean delay
#: at each relay. SPEC.md, "The mix", has the figures that they were chosen by.
PACE_EMIT_MS = (600, 1_100, 1_100)
PACE_DELAY_MS = (250, 900, 3_000)
#: An own entry that did not come back takes another path after a random time, in mean delays.
RETRY_DELAYS_RANGE = (15, 30)
#: From so many tries on the patience doubles each time, but for so often.
RETRY_PATIENT_TRIES = 8
RETRY_DOUBLINGS_MAX = 3
