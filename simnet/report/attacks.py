"""What spies and the network's owner found out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from simnet.findings import Result, as_share, attacks_of
from simnet.report.html import figure_of, folded, section_of, side_by_side, table_of


def attacks_section(results: Sequence[Result], labels: Sequence[str]) -> str:
    """How often an author is named, and whether posting shows in the traffic."""
    from simnet import pictures

    figures = [
        figure_of(picture, title=f"Insiders: {name}")
        for name, picture in pictures.attacks(results, labels)
    ]
    seen = pictures.observer(results, labels)
    if seen is not None:
        figures.append(
            figure_of(
                seen,
                "How well somebody who sees every packet (not its content) tells a node that posts "
                "from one that does not. At 0.5 the traffic says nothing.",
                title="The network's owner",
            )
        )
    hint = (
        "Some members spy: they log what they receive, from which address and when, put their logs "
        "together, and name an author for each post. A bar is how often that name is right. It "
        "should stay near the red line, a blind guess among all, and far below the dashed line, "
        "the share of spies: under that, not even Dandelion++ promises to stay."
    )
    return section_of(
        "Can anybody find out who wrote it?",
        hint,
        side_by_side(figures, "large"),
        folded("The same in figures", _attack_table(results, labels)),
    )


def _attack_table(results: Sequence[Result], labels: Sequence[str]) -> str:
    head = ["Run", "estimator", "spies", "named rightly", "blind guess", "precision", "recall"]
    return table_of(
        head,
        (
            [
                escape(label),
                escape(str(row["estimator"])),
                f"{row['spies']} ({as_share(row['share'])})",
                as_share(row["named"]),
                as_share(row["blind"]),
                as_share(row.get("precision")),
                as_share(row.get("recall")),
            ]
            for result, label in zip(results, labels, strict=True)
            for row in attacks_of(result)
        ),
    )
