"""Colors: a ramp for amounts, a few for kinds that any eyes can tell apart, and ink that can be read on them."""

from __future__ import annotations

_RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))  # viridis
KINDS = ("#4477aa", "#ee8866", "#228833", "#ccbb44", "#aa3377", "#66ccee", "#999999", "#bb5566", "#225555")
ALARM = "#d62728"


def ramp(share: float) -> str:
    """The color of a share from 0 to 1: dark to bright."""
    position = (share if 0 <= share <= 1 else float(share > 1)) * (len(_RAMP) - 1)
    index = min(int(position), len(_RAMP) - 2)
    low, high = _RAMP[index], _RAMP[index + 1]
    mixed = (round(a + (b - a) * (position - index)) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb, from 0 to 1."""
    parts = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_on(color: str) -> str:
    """Black or white, whichever stands out more."""
    light = luminance(color)
    return "#ffffff" if 1.05 / (light + 0.05) > (light + 0.05) / 0.05 else "#000000"
