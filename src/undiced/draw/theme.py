"""Theme: what paper, ink and lines look like by day and by night. What colors tell something stays as it is."""

from __future__ import annotations

from typing import Literal

Theme = Literal["auto", "light", "dark"]
_LIGHT = {
    "paper": "#ffffff", "ink": "#1b1f23", "faint": "#57606a", "face": "#eceef0", "edge": "#8c959f", "alarm": "#b3121d",
}  # fmt: skip
_DARK = {
    "paper": "#14171a", "ink": "#e6e8ea", "faint": "#a2abb4", "face": "#2b3036", "edge": "#6e7781", "alarm": "#ff7b72",
}  # fmt: skip
_LINES = ("paper", "ink", "edge", "alarm", "faint")


def _rules(colors: dict[str, str]) -> str:
    fills = "".join(f".{name}{{fill:{color}}}" for name, color in colors.items())
    return fills + "".join(f".{name}-line{{stroke:{colors[name]};fill:none}}" for name in _LINES)


def style(theme: Theme, within: str = "") -> str:
    """Rules for classes of shapes; `auto` follows the reader's preference where the viewer knows one.

    Args:
        within: rules for the paper itself, with the names of its colors in braces, as a page has them.
    """

    def all_rules(colors: dict[str, str]) -> str:
        return _rules(colors) + within.format(**colors)

    if theme == "auto":
        return f"{all_rules(_LIGHT)}@media (prefers-color-scheme:dark){{{all_rules(_DARK)}}}"
    return all_rules(_DARK if theme == "dark" else _LIGHT)
