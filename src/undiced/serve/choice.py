"""Choice: which tokens a step guesses, and who guesses them: as many as make its tokens per second the most.

A pure function. A guess by lookup costs its row in the target model's step; one of a draft model costs a step of that
model besides, which all sequences that it guesses for share.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

GAIN = 1.03  # what guesses have to promise: chances are estimates, and the best of many is often one too good
Line = tuple[float, float]  # seconds of a step besides its rows, and of each row
Seconds = Callable[[int], float]  # of a step of so many rows


class Offer(Struct, frozen=True):
    """What can be guessed for a sequence.

    Attributes:
        looked_up: how likely it is that the first tokens of what was looked up, up to each, are all right.
        modeled: the same of a draft model's guesses; empty if it can't guess.
        reading_s: what this step has to bear of the time that the draft model takes to read what it has not read.
    """

    looked_up: list[float] = []
    modeled: list[float] = []
    reading_s: float = 0.0


class Choice(Struct, frozen=True):
    """What a step guesses.

    Attributes:
        counts: tokens for each sequence. modeled: whether the draft model guesses them.
        speed: tokens a second that this promises. draft_s: what of its time the draft model takes.
        trial: it is to be seen whether the draft model's guesses pay.
    """

    counts: list[int]
    modeled: list[bool]
    speed: float
    draft_s: float = 0.0
    trial: bool = False


def choose(offers: list[Offer], target: Seconds, draft: Line, spare: int) -> Choice:
    """The best choice for a step that decodes these sequences; no guesses if they don't promise more than `GAIN`.

    Args:
        target: what steps take. draft: what those of the draft model take.
        spare: rows that the step can draw besides one of each sequence.
    """
    rows = len(offers)
    plain = rows / target(rows)
    if rows == 1 and not offers[0].modeled:
        return _of_one(offers[0].looked_up[:spare], target, GAIN * plain)
    none = [False] * rows
    best = _filled(offers, none, 0, target, 0.0, spare, Choice([0] * rows, none, GAIN * plain))
    for depth in range(1, max((len(offer.modeled) for offer in offers), default=0) + 1):
        worth = plain * depth * (draft[0] / rows + draft[1])  # tokens that its cost could have brought
        modeled = [
            len(offer.modeled) > 0 and (rows == 1 or sum(offer.modeled[:depth]) - worth > sum(offer.looked_up))
            for offer in offers
        ]
        if not any(modeled):
            continue
        taken = [offer for offer, by in zip(offers, modeled, strict=True) if by]
        drafted = sum(min(depth, len(offer.modeled)) for offer in taken)
        draft_s = depth * draft[0] + drafted * draft[1] + sum(offer.reading_s for offer in taken)
        best = _filled(offers, modeled, depth, target, draft_s, spare, best)
    return best


def _of_one(chances: list[float], target: Seconds, speed: float) -> Choice:
    """What `_filled` finds for one sequence that nothing but lookup guesses for, in half the time."""
    tokens, count = 1.0, 0
    for rows, chance in enumerate(chances, 2):
        tokens += chance
        reached = tokens / target(rows)
        if reached > speed:
            speed, count = reached, rows - 1
    return Choice([count], [False], speed)


def _filled(
    offers: list[Offer], modeled: list[bool], depth: int, target: Seconds, draft_s: float, spare: int, best: Choice
) -> Choice:
    """The likeliest of the tokens of these sources, as many as make tokens per second the most; `best` if less."""
    chances: list[tuple[float, int]] = []
    for index, (offer, by_model) in enumerate(zip(offers, modeled, strict=True)):
        source = offer.modeled[:depth] if by_model else offer.looked_up
        chances += [(chance, index) for chance in source]
    chances.sort(reverse=True)
    rows, count, speed = len(offers), 0, best.speed
    tokens = float(rows)
    for number, (chance, _) in enumerate(chances[:spare], 1):
        tokens += chance
        reached = tokens / (target(rows + number) + draft_s)
        if reached > speed:
            speed, count = reached, number
    if not count:
        return best
    counts = [0] * rows
    for _, index in chances[:count]:
        counts[index] += 1
    return Choice(counts, modeled, speed, draft_s)
