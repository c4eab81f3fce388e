"""SVG to PNG, by the optional package resvg-py. Text needs no fonts of the system: a small one comes along."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from undiced.core.errors import UnsupportedError

_FONT = Path(__file__).parent / "fonts" / "dejavu-sans-latin-1.ttf"
_FONT_FAMILY, _FONT_CHARACTERS = "DejaVu Sans", 256
_SCALE = 2


def png(document: str) -> bytes:
    """An SVG document as PNG, at twice its size.

    Raises:
        UnsupportedError: resvg-py is not installed.
    """
    data: bytes = resvg().svg_to_bytes(
        svg_string=document,
        zoom=_SCALE,
        font_files=[str(_FONT)],
        sans_serif_family=_FONT_FAMILY,
        skip_system_fonts=all(ord(character) < _FONT_CHARACTERS for character in document),
    )
    return data


def resvg() -> ModuleType:
    """The package that does it; asked for before anything long begins.

    Raises:
        UnsupportedError: it is not installed.
    """
    try:
        return importlib.import_module("resvg_py")
    except ImportError:
        raise UnsupportedError(
            "PNG needs the package resvg-py.", remedy="Install it (pip install 'undiced[png]'), or write an .svg file."
        ) from None
