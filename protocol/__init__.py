"""The sans-I/O core of p2pboard: pure state machines and codecs.

Nothing in here opens a socket, reads a clock or a file, starts a thread, logs, or draws
ambient randomness. Dependencies run one way (``tests/test_architecture.py`` holds them):

    errors limits | crypto codec | board entry persona messages | noise frames index reconcile |
    link gossip directory | inputs effects node

A driver (``p2pboard.driver``, ``simnet.world``) tells :class:`protocol.node.Node` what happened
(inputs) and carries out, in order, what it answers (effects).
"""
