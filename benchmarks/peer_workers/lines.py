"""Lines: how workers of this folder are asked: a line of JSON in, one out. on_undiced.py says what they hold."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Protocol


class Peer(Protocol):
    """A model that a package runs."""

    def generate(self, prompts: list[list[int]], count: int) -> dict[str, object]:
        """The likeliest tokens behind all prompts together."""

    def logits(self, text: list[int], begin: int, file: str) -> dict[str, object]:
        """Logits of a text, from a position on, as a file."""


def answer(version: str, answered: Callable[[dict], dict[str, object]]) -> None:
    """Say that the model is loaded, then answer line by line."""
    print(json.dumps({"ready": version}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answered(json.loads(line))), flush=True)


def answer_with(version: str, peer: Peer) -> None:
    """The same with a peer's model."""

    def answered(asked: dict) -> dict[str, object]:
        if "text" in asked:
            return peer.logits(asked["text"], asked["begin"], asked["file"])
        return peer.generate(asked["prompts"], asked["count"])

    answer(version, answered)
