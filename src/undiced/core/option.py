"""How messages name what a caller may set: `option("wafers", 4)` is wafers=4, as it is written in Python.

The command line turns these words into its own options. Knows names alone, not what they do.
"""

from __future__ import annotations

import re

_NAMES = (
    "machine", "wafers", "weights", "sum_bits", "mapping", "context", "capacity", "batch", "lockstep", "region",
    "groups", "stages", "layers", "phase", "prefix", "chunk", "objective", "clock", "code_bytes", "draft", "acceptance",
    "kv_type", "max_batch", "max_context", "streams", "speed", "system_price", "surround", "years", "power_price",
    "overhead", "utilization", "defects", "mtbf", "spare_wafers", "replace_hours", "fail", "apart", "samples",
)  # fmt: skip
_WORD = re.compile(rf"\b({'|'.join(_NAMES)})=(?:\"([^\"]*)\"|([\w.-]*\w))")

_CALL = re.compile(r"undiced\.(compile|simulate)\(\"([\w.-]+)\"\)")
_SHOWN = {  # where Python looks things up, and where the command line does
    "undiced.model.PRESETS": "`undiced models --configurations`",
    "undiced.presets.wse3()": "`undiced machines wse3 --toml`",
}


def option(name: str, value: str | float) -> str:
    """A choice in words: wafers=4, mapping="undiced"."""
    assert name in _NAMES, f"no caller can set {name}"
    return f'{name}="{value}"' if isinstance(value, str) else f"{name}={value}"


def as_command_options(text: str) -> str:
    """The same text with choices as options of the command line: --wafers 4; and lists as its commands."""
    for python, command in _SHOWN.items():
        text = text.replace(python, command)
    text = _CALL.sub(r"`undiced \1 \2`", text)
    return _WORD.sub(lambda found: f"--{found[1].replace('_', '-')} {found[2] or found[3]}", text)
