"""What fits is measured by the font that comes along; nothing that is drawn is wider than its box."""

import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import undiced.draw
from undiced.draw.lettering import ADVANCES, SIZES, Box, fitted, shortened, text_width, wrapped

FONT = Path(undiced.draw.__file__).parent / "fonts" / "dejavu-sans-latin-1.ttf"
WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


def advances() -> list[int]:
    """Of the printable ASCII characters, in thousandths, as the font file has them (its character map in segments)."""
    data = FONT.read_bytes()

    def numbers(kind: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(f">{kind}", data, at)

    tables = {data[12 + 16 * n : 16 + 16 * n]: numbers("I", 20 + 16 * n)[0] for n in range(numbers("H", 4)[0])}
    unit, last = numbers("H", tables[b"head"] + 18)[0], numbers("H", tables[b"hhea"] + 34)[0] - 1
    start = tables[b"cmap"]
    offsets = [numbers("I", start + 8 + 8 * n)[0] for n in range(numbers("H", start + 2)[0])]
    at = next(start + offset for offset in offsets if numbers("H", start + offset)[0] == 4)
    count = numbers("H", at + 6)[0] // 2
    ends, begins = numbers(f"{count}H", at + 14), numbers(f"{count}H", at + 16 + 2 * count)
    deltas = numbers(f"{count}H", at + 16 + 4 * count)
    out = []
    for code in range(32, 127):
        segment = next(n for n, end in enumerate(ends) if code <= end)
        assert begins[segment] <= code
        glyph = min((code + deltas[segment]) & 0xFFFF, last)
        out.append(round(numbers("H", tables[b"hmtx"] + 4 * glyph)[0] * 1000 / unit))
    return out


def test_widths_are_the_fonts():
    assert list(ADVANCES) == advances()


@given(st.lists(st.lists(WORDS, min_size=1, max_size=4).map(tuple), max_size=5), st.floats(1, 400), st.floats(1, 200))
def test_what_fits_lies_within_its_box(choices, width, height):
    box = Box(10, 20, width, height)
    found = fitted(choices, box)
    if found is None:
        return
    assert found.lines in choices and found.size in SIZES
    assert all(text_width(line, found.size) <= width for line in found.lines)
    baselines = [found.baseline(box, n) for n in range(len(found.lines))]
    assert box.y <= baselines[0] - 0.76 * found.size and baselines[-1] + 0.24 * found.size <= box.y + height


def test_the_first_choice_that_fits_is_taken():
    choices = [("region 12", "1,234,567 cycles"), ("12", "1.2M"), ("12",)]
    assert fitted(choices, Box(0, 0, 200, 100)).lines == choices[0]
    assert fitted(choices, Box(0, 0, 50, 100)).lines == choices[1]
    assert fitted(choices, Box(0, 0, 50, 16)).lines == choices[2]
    assert fitted(choices, Box(0, 0, 8, 8)) is None


@given(WORDS, st.floats(0, 300))
def test_shortened_and_wrapped_lines_are_no_wider_than_asked(text, width):
    assert text_width(shortened(text, width, 11), 11) <= width + 1e-6
    assert all(text_width(line, 11) <= width + 1e-6 for line in wrapped(text, width, 11))
