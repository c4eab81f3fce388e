"""Stack: pictures below each other as one."""

from __future__ import annotations

from collections.abc import Sequence

from undiced.draw.canvas import Canvas


def stack(pictures: Sequence[Canvas]) -> Canvas:
    """One picture of several, as wide as the widest."""
    whole = Canvas(max(each.width for each in pictures))
    for each in pictures:
        whole.parts += [f'<g transform="translate(0 {whole.height:.0f})">', *each.parts, "</g>"]
        whole.height += each.height
        whole.dropped += each.dropped
    return whole
