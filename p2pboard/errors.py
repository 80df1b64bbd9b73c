"""What the program says when something is wrong: one line with what, why and what to do now.

A *wrong use* can be put right by whoever typed it; a *failure* lies in the machine or the network.
Both end a command with that one line and their exit status; anything else is a bug.
"""

from __future__ import annotations


class ProgramError(Exception):
    """The root: the message is one line for a person."""

    exit_status = 1


class UserError(ProgramError):
    """Used wrongly: the line says what to do instead."""

    exit_status = 2


class Failure(ProgramError):
    """Used rightly, and yet it can't be done now."""


class StoreError(Failure):
    """The database can't be read or written."""
