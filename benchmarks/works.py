"""The work that guesses are measured on: edits and quotations, in which much is written that stands in the prompt, and
free text. Prompts were written before any of them was measured, and none was left out for its result: small models do
not do all that they are asked, so that whoever measures tells how much of each answer really repeats its prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

CODE = """class Rectangle:
    def __init__(self, width, height):
        self.width = width
        self.height = height

    def area(self):
        return self.width * self.height

    def perimeter(self):
        return 2 * (self.width + self.height)


class Circle:
    def __init__(self, radius):
        self.radius = radius

    def area(self):
        return 3.14159 * self.radius * self.radius

    def perimeter(self):
        return 2 * 3.14159 * self.radius
"""
SHOP = '''def total(prices, discount=0.0):
    """The sum of prices, less a discount."""
    result = 0.0
    for price in prices:
        result += price
    return result * (1 - discount)


def average(prices):
    """The mean of prices."""
    if not prices:
        return 0.0
    return total(prices) / len(prices)


def most_expensive(prices):
    """The highest of prices."""
    best = prices[0]
    for price in prices:
        if price > best:
            best = price
    return best
'''
CONFIG = """{
  "name": "harbor",
  "port": 8080,
  "workers": 4,
  "logging": {"level": "info", "file": "/var/log/harbor.log"},
  "database": {"host": "localhost", "port": 5432, "user": "harbor", "pool": 10},
  "cache": {"host": "localhost", "port": 6379, "ttl": 300}
}
"""
JS = """function formatDate(date) {
  const year = date.getFullYear();
  const month = String(date.getMonth() + 1).padStart(2, "0");
  const day = String(date.getDate()).padStart(2, "0");
  return `${year}-${month}-${day}`;
}

function formatTime(date) {
  const hours = String(date.getHours()).padStart(2, "0");
  const minutes = String(date.getMinutes()).padStart(2, "0");
  return `${hours}:${minutes}`;
}
"""
RAILWAY = (
    "The railway came to the valley in the spring of 1871, and within ten years the mill had doubled its output. Wool "
    "was carried to the coast in a single day, where before it had taken four, and the price of coal fell by half. The "
    "old road over the pass was kept open for the mail, but nobody who could afford a ticket walked it any longer."
)
BEES = (
    "A colony of bees in summer holds about fifty thousand workers, a few hundred drones and one queen. The "
    "workers live for six weeks. In the first three they clean cells, feed the brood and build combs; in the last "
    "three they fly out for nectar, pollen and water. The queen lays up to two thousand eggs a day, and she may "
    "live for five years."
)
LETTER = (
    "Dear members, the library will be closed from the third to the ninth of June while the roof is repaired. "
    "Books that are due in that week may be returned until the sixteenth without a fee. The reading room in Mill "
    "Street stays open, and newspapers will be laid out there as usual. We thank you for your patience."
)
FREE = (
    "Tell me a story about a lighthouse keeper.",
    "Why do leaves change their color in autumn?",
    "Write a letter to a friend about a journey.",
)


@dataclass(frozen=True)
class Work:
    """Questions of one kind. temperature: 0 is the likeliest token. predicted: for each question what the client sends
    as expected; empty for nothing.
    """

    name: str
    questions: tuple[str, ...]
    temperature: float = 0.0
    predicted: tuple[str, ...] = ()


def _about(program: str, language: str = "python") -> str:
    return f"```{language}\n{program}```"


RENAME = f"Rename `perimeter` to `outline` in this program, and write out the whole program:\n{_about(CODE)}"
_EDITS = (
    (RENAME, _about(CODE)),
    (f"Add a docstring to each method of this program, and write out the whole program:\n{_about(CODE)}", _about(CODE)),
    (f"Remove the class Circle from this program, and write out what is left:\n{_about(CODE)}", _about(CODE)),
    (f"Change `3.14159` to `math.pi` in this program, and write out the whole program:\n{_about(CODE)}", _about(CODE)),
    (f"Rename `prices` to `amounts` in this program, and write out the whole program:\n{_about(SHOP)}", _about(SHOP)),
    (f"Add type hints to this program, and write out the whole program:\n{_about(SHOP)}", _about(SHOP)),
    (f"Change the port of the database to 5433 and write out the whole file:\n{_about(CONFIG, 'json')}",
     _about(CONFIG, "json")),
    (f"Rename `date` to `moment` in this program, and write out the whole program:\n{_about(JS, 'javascript')}",
     _about(JS, "javascript")),
    (f"Add a function formatSeconds to this program, and write out the whole program:\n{_about(JS, 'javascript')}",
     _about(JS, "javascript")),
)  # fmt: skip
EDITS = tuple(question for question, _ in _EDITS)
QUOTATIONS = (
    f"Repeat this text word for word:\n{RAILWAY}",
    f"Repeat this text word for word:\n{BEES}",
    f"Repeat this text word for word:\n{LETTER}",
    f"{RAILWAY}\n\n{BEES}\n\n{LETTER}\n\nQuote the letter to the members, word for word.",
    f"{RAILWAY}\n\n{BEES}\n\nQuote the paragraph about bees, word for word.",
    f"Correct the spelling of this text, and write it out:\n{RAILWAY.replace('ten', 'tenn')}",
    f"Copy the following text exactly.\n\n{LETTER}",
    f"Copy the following text exactly.\n\n{BEES}",
    f"Copy this program:\n{_about(SHOP)}",
    f"Copy this file:\n{_about(CONFIG, 'json')}",
)
WORKS = (
    Work("edit", EDITS),
    Work("edit, predicted", EDITS, predicted=tuple(source for _, source in _EDITS)),
    Work("quotation", QUOTATIONS),
    Work("free, likeliest tokens", FREE),
    Work("free, temperature 0.8", FREE, 0.8),
)
