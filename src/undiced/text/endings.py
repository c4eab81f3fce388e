"""Names of tokens that end a turn or a text, for files that mark only one of several. Data and one function."""

from __future__ import annotations

from collections.abc import Callable

_ENDINGS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<end_of_turn>",
    "<|return|>",
    "<|call|>",
    "<|END_OF_TURN_TOKEN|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "<|end|>",
)


def ending_ids(id_of: Callable[[str], int | None], is_control: Callable[[int], bool]) -> frozenset[int]:
    """Ids of well-known ending tokens that this vocabulary holds as control tokens.

    `<|end|>` separates messages of one answer where `<|return|>` exists, and ends the turn elsewhere.
    """
    found = {name: i for name in _ENDINGS if (i := id_of(name)) is not None and is_control(i)}
    if "<|return|>" in found:
        found.pop("<|end|>", None)
    return frozenset(found.values())
