"""The program: all commands together."""

from __future__ import annotations

import click

from simnet.cli import compare, emulate, gallery, replay, run, sweep
from simnet.cli.ending import Program


@click.group(
    cls=Program,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def program() -> None:
    """A network of virtual laptops that run the real protocol, replayable to the byte.

    SCENARIO is a name that 'list' shows, or a path to a file.
    """


for command in (
    run.run,
    gallery.list_,
    gallery.explain_,
    compare.compare_,
    replay.replay_,
    sweep.sweep_,
    emulate.emulate_,
):
    program.add_command(command)
