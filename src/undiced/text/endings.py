"""Names of tokens that end or begin a turn, for files that mark them badly or not at all. Data and one function.

The endings are those by which llama.cpp knows an end of generation (src/llama-vocab.cpp), and Cohere's. Left out are
its names for code infilling, which end nothing here.
"""

from __future__ import annotations

from collections.abc import Callable

ENDINGS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<|END_OF_TURN_TOKEN|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "<|end|>",
    "</s>",
    "<eos>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<turn|>",
    "<|tool_response>",
    "[e~[",
)
BEGINNINGS = ("<|im_start|>", "<start_of_turn>")


def endings(id_of: Callable[[str], int | None]) -> dict[str, int]:
    """The well-known endings that a vocabulary holds, by name.

    `<|end|>` separates the messages of one answer where a family has other names for its end, and `</s>` ends nothing
    beside `<|tool_response>`.
    """
    found = {name: i for name in ENDINGS if (i := id_of(name)) is not None}
    calls = "<|call|>" in found or "<|calls|>" in found
    if calls and ("<|return|>" in found or "<|flush|>" in found):
        found.pop("<|end|>", None)
    if "<|tool_response>" in found:
        found.pop("</s>", None)
    return found
