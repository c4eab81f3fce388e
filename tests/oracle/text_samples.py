"""Varied strings for tokenizer comparisons: the same for the same seed. Knows no tokenizer."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Sequence

PROSE = (
    "The quick brown fox jumps over the lazy dog. It's 7:45 o'clock; we'll see, they've said, I'M sure you'RE right. "
    "Le cœur a ses raisons que la raison ne connaît point. Übermäßige Größe führt zu Ärger. Zażółć gęślą jaźń. "
    "Съешь же ещё этих мягких французских булок. Η γρήγορη αλεπού. الثعلب البني السريع. השועל החום. "
    "人工知能は面白いです。我爱北京天安门。빠른 갈색 여우. สวัสดีชาวโลก नमस्ते दुनिया আমার সোনার বাংলা Tiếng Việt"
)
CODE = (
    "def f(x: int) -> int:\n\treturn x**2  # squared\n\n\nfor(int i=0;i<n;++i){\n    a[i] += b[i]*1.5e-3;\n}\n"
    'SELECT * FROM "t" WHERE a >= 10 AND b != \'x\';\n<div class="a">&nbsp;</div>\n{"key": [1, 2.50, null]}\n'
    "https://example.org/a_b?c=d%20e#f  C:\\\\dir\\\\file.txt  $HOME/.config  a->b  x::y  !!  ==  ===  // --  \r\n"
)
SPACES = " \t\n\r\x0b\x0c\u00a0\u2003\u2028\u3000\u0085\u200b"
RANGES = (
    (0x00, 0x7F), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F),
    (0x1E00, 0x1EFF), (0x2000, 0x206F), (0x2150, 0x218F), (0x2460, 0x24FF), (0x3000, 0x30FF), (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3), (0xE000, 0xE0FF), (0xFE00, 0xFFFF), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF),
    (0xE0000, 0xE01EF), (0x10FF00, 0x10FFFF),
)  # fmt: skip


def varied_strings(count: int, specials: Sequence[str], seed: int = 7) -> list[str]:
    """Prose in many scripts, code, white space, digits, emoji, random code points, special-token text, mixtures."""
    rng = random.Random(seed)
    makers: list[Callable[[], str]] = [
        lambda: _slice(rng, PROSE, 120),
        lambda: _slice(rng, CODE, 120),
        lambda: "".join(rng.choice(SPACES) for _ in range(rng.randint(1, 12))),
        lambda: rng.choice(SPACES) * rng.randint(1, 70),
        lambda: str(rng.randint(0, 10 ** rng.randint(1, 30))) + rng.choice([".", ",", " ", "th", "²", "٣", "Ⅷ", "½"]),
        lambda: "".join(
            rng.choice(["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷", "👍🏽", "❤️", "é", "ạ̈", "ﬁ"]) for _ in range(rng.randint(1, 6))
        ),
        lambda: "".join(_code_point(rng) for _ in range(rng.randint(1, 16))),
        lambda: rng.choice(specials) if specials else "<|none|>",
        lambda: (rng.choice(specials) if specials else "<|x|>")[: rng.randint(1, 12)],
        lambda: "".join(rng.choice("aAbB'sStT .,!?-_/\\<>|0123456789\n") for _ in range(rng.randint(1, 30))),
        lambda: rng.choice("abc .-=#*é中\n") * rng.randint(1, 40),
        lambda: unicodedata.normalize(rng.choice(["NFC", "NFD", "NFKC"]), _slice(rng, PROSE, 60)),
    ]
    return ["".join(rng.choice(makers)() for _ in range(rng.choice([1, 1, 2, 3, 6]))) for _ in range(count)]


def _slice(rng: random.Random, text: str, longest: int) -> str:
    start = rng.randrange(len(text))
    return text[start : start + rng.randint(1, longest)]


def _code_point(rng: random.Random) -> str:
    low, high = rng.choice(RANGES)
    return chr(rng.randint(low, high))
