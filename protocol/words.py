"""The words of personas' names. Part of the protocol (SPEC.md, "Personas"): every implementation
shows the same name, so the lists and their order never change.
"""

from __future__ import annotations

#: 64, so that a byte picks them evenly.
COLOURS: tuple[str, ...] = tuple(
    """
    amber apricot aqua ash auburn azure beige black blue blush brass bronze brown cedar cherry
    chestnut cobalt copper coral cream crimson cyan denim ebony emerald fawn fern flax ginger gold
    grape green grey hazel indigo ivory jade khaki lemon lilac lime linen maroon mauve mint moss
    mustard navy ochre olive onyx orange orchid peach pearl pink plum ruby russet sage sand scarlet
    silver teal
    """.split()
)

#: 64, likewise.
ANIMALS: tuple[str, ...] = tuple(
    """
    badger bat bear beaver bee bison boar bunting camel carp cat cod cougar coyote crab crane
    cricket crow curlew deer dingo dolphin dove duck eagle eel egret elk falcon ferret finch fox
    frog gecko gibbon goat goose gull hare hawk hedgehog heron hornet ibex ibis jackal jay kite
    koala lark lemur lion llama lynx magpie marmot marten mink mole moose moth mouse newt otter
    """.split()
)
