"""What a person sees of a terminal's output: lines, after all that moved the cursor. No colors, no scrolling."""

from __future__ import annotations

import re

_PIECE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b.|([\r\n\b\x07])|([^\x1b\r\n\b\x07]+)")


def seen(output: str) -> str:
    """The lines that stay. A line that a terminal would wrap stays whole, so that its width can be told."""
    lines, row, column = [""], 0, 0
    for amount, order, control, text in _PIECE.findall(output):
        if text:
            lines[row] = lines[row].ljust(column)[:column] + text + lines[row][column + len(text) :]
            column += len(text)
        elif control == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif control in "\r\b" and control:
            column = 0 if control == "\r" else max(0, column - 1)
        elif order == "K":
            lines[row] = "" if amount == "2" else lines[row][:column]
        elif order == "J":
            lines[row:] = [lines[row][:column]]
        elif order == "A":
            row = max(0, row - int(amount or 1))
        elif order in ("C", "G"):
            column = column + int(amount or 1) if order == "C" else int(amount or 1) - 1
    return "\n".join(line.rstrip() for line in lines)
