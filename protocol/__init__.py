"""The sans-I/O core of p2pboard: pure state machines and codecs.

Nothing in here opens a socket, reads a clock or a file, starts a thread, logs, or draws
ambient randomness. Dependencies run one way: a module imports only what stands above it or to its
left (``tests/test_architecture.py`` reads this table and holds it).

    errors limits words
    crypto codec chance timers work
    board entry persona messages
    noise frames index reconcile handshake cells
    inputs effects
    ports outbox fetch directory link pieces relays
    mix
    publishing
    gossip node

A driver (``p2pboard.driver``, ``simnet.host``) tells :class:`protocol.node.Node` what happened
(inputs) and carries out, in order, what it answers (effects).
"""
