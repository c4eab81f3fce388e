"""PNG maps: text appears without any font of the system; without the package the error says what to install."""

import struct
import sys
import zlib

import pytest

from undiced.core.errors import UnsupportedError
from undiced.draw import raster

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" width="120" height="40" font-family="sans-serif">'
PAPER = '<rect width="100%" height="100%" fill="#ffffff"/>'


def pixels(data):
    """Width, height and the distinct unfiltered rows' bytes of a PNG (enough to tell blank from drawn)."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, size = 8, b"", (0, 0)
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            size = struct.unpack(">II", chunk[:8])
        if kind == b"IDAT":
            packed += chunk
        at += 12 + length
    return size, zlib.decompress(packed)


@pytest.fixture
def bare(monkeypatch):
    """A machine without fonts: whatever is drawn, system fonts are skipped."""
    resvg = pytest.importorskip("resvg_py")
    real = resvg.svg_to_bytes
    monkeypatch.setattr(resvg, "svg_to_bytes", lambda **options: real(**{**options, "skip_system_fonts": True}))


def test_text_appears_without_system_fonts(bare):
    blank = pixels(raster.png(f"{HEAD}{PAPER}</svg>"))
    drawn = pixels(raster.png(f'{HEAD}{PAPER}<text x="4" y="30" font-size="24">layers 0-9, é</text></svg>'))
    assert blank[0] == drawn[0] == (240, 80)
    assert drawn[1] != blank[1]


@pytest.mark.parametrize("character", "!~0Agjé×µ")
def test_every_character_of_the_font_has_a_shape_of_its_own(bare, character):
    def draw(text):
        return raster.png(f'{HEAD}{PAPER}<text x="4" y="30" font-size="24">{text}</text></svg>')

    assert draw(character) != draw(" ") and draw(character) != draw("\N{OGHAM LETTER BEITH}")


def test_characters_beyond_the_font_may_take_the_system_s(monkeypatch):
    resvg = pytest.importorskip("resvg_py")
    asked = []
    monkeypatch.setattr(resvg, "svg_to_bytes", lambda **options: asked.append(options["skip_system_fonts"]) or b"")
    raster.png("<svg>é</svg>"), raster.png("<svg>模型</svg>")
    assert asked == [True, False]


def test_without_the_package_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(UnsupportedError, match="resvg-py") as caught:
        raster.png("<svg/>")
    assert "undiced[png]" in caught.value.remedy
