"""The store: one SQLite database with all that a node keeps.

:mod:`~p2pboard.store.schema` opens it, :mod:`~p2pboard.store.reader` asks,
:mod:`~p2pboard.store.writer` changes, :mod:`~p2pboard.store.sealing` encrypts, and
:mod:`~p2pboard.store.worker` runs reader and writer for trio: reads on a few threads, all writes by
one.
"""
