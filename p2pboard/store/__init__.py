"""The store: one SQLite database with all that a node keeps.

:mod:`~p2pboard.store.schema` opens it, :mod:`~p2pboard.store.reader` asks,
:mod:`~p2pboard.store.writer` changes, and :mod:`~p2pboard.store.worker` runs both for trio: reads
on a few threads, all writes by one.
"""
