"""The program: all commands together."""

from __future__ import annotations

import click

from p2pboard.cli import blocks, boards, node, personas, posts, safety
from p2pboard.cli.shared import Program


@click.group(
    cls=Program,
    example="""
    p2pboard run
    p2pboard post lobby "Hello, floor three"
    p2pboard read lobby""",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="p2pboard", prog_name="p2pboard")
def program() -> None:
    """An anonymous board without a server, for people who share a network."""


for command in (
    node.run,
    boards.create,
    boards.join,
    boards.boards,
    boards.invite,
    boards.leave,
    posts.post,
    posts.read,
    posts.retract,
    posts.forget,
    posts.crowd,
    personas.persona,
    blocks.block,
    node.peers,
    node.status,
    safety.lock,
    safety.panic,
):
    program.add_command(command)
