"""Stated: the acceptance that a caller means, assumed or measured, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from undiced.core.errors import CompileError, InvalidRequestError
from undiced.core.option import option
from undiced.sim.acceptance import COUNTED, Acceptance
from undiced.study.profiles import Profile, acceptance_of, measured, read

MEASURED = "measured"
LOOKUP = "lookup"  # in a draft's place: what followed the same tokens before, found by the host
ASSUMED = 0.8  # of a draft's guess, where nothing is said
_DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class Stated:
    """What is taken for the chances of guesses.

    Attributes:
        words: as it was said.
        provenance: where it comes from, for people.
        by_work: of each kind of work, where `acceptance` is that of several together.
    """

    words: str | float
    acceptance: Acceptance
    provenance: str
    by_work: tuple[tuple[str, Acceptance], ...] = ()


def stated(words: str | float | None, target: str, draft: str) -> Stated:
    """What "0.8", "measured", "measured:edit at 0.8", "measured:PAIR:edit" or "FILE.json:edit" say of the guesses of a
    draft, or of a lookup. None is what was measured of lookups, and an assumption of drafts.

    Raises:
        InvalidRequestError: none of these; or nothing of the kind was measured, and what was.
    """
    source = LOOKUP if draft == LOOKUP else _DRAFT
    words = (MEASURED if source == LOOKUP else ASSUMED) if words is None else words
    share = _share(words)
    if share is not None:
        always = ", and there always is one" if source == LOOKUP else ""
        return Stated(share, _assumed(share), f"assumed: each guess is right at {share:g}, by itself{always}")
    file, *chosen = [part.strip() for part in str(words).split(":")]
    if file != MEASURED and not file.endswith(".json"):
        raise InvalidRequestError(
            f"{str(words)[:40]!r} is no acceptance.",
            remedy=f"Use {option('acceptance', ASSUMED)}, {option('acceptance', MEASURED)} or a file of profiles.",
        )
    known = [each for each in (measured() if file == MEASURED else read(Path(file))) if each.source == source]
    if not known:
        raise InvalidRequestError(
            f"Guesses of a {source} were not measured.", remedy=f"Assume a share: {option('acceptance', ASSUMED)}."
        )
    own = target if source == LOOKUP else f"{target}+{draft}"
    return _told(words, _of_work(_of_pair(known, chosen, own), chosen), own, target)


def _share(words: str | float) -> float | None:
    try:
        return float(words)
    except ValueError:
        return None


def _assumed(share: float) -> Acceptance:
    try:
        return Acceptance.assumed(share)
    except CompileError as error:
        raise InvalidRequestError(str(error), remedy=error.remedy or "") from error


def _of_pair(known: list[Profile], chosen: list[str], own: str) -> list[Profile]:
    """Those of the pair that is named, else of the same one, else of the only one. Takes its name from `chosen`."""
    pairs = list(dict.fromkeys(str(each.pair) for each in known))
    wanted = [name for name in pairs if name in chosen[:1]] or [name for name in pairs if name == own] or pairs
    if len(wanted) > 1:
        raise InvalidRequestError(
            f"Guesses for {own} were not measured, but for {', '.join(pairs)}.",
            remedy=f"Name one of these: {option('acceptance', MEASURED)}:{pairs[0]}.",
        )
    chosen[:] = chosen[chosen[:1] == wanted :]
    return [each for each in known if str(each.pair) == wanted[0]]


def _of_work(known: list[Profile], chosen: list[str]) -> tuple[Profile, ...]:
    found = tuple(each for each in known if not chosen or [each.name] == chosen)
    if not found:
        names = ", ".join(each.name for each in known)
        raise InvalidRequestError(
            f"{':'.join(chosen)[:60]!r} was not measured with {known[0].pair}.", remedy=f"Measured were: {names}."
        )
    return found


def _told(words: str | float, found: tuple[Profile, ...], own: str, target: str) -> Stated:
    pair, one = found[0].pair, len(found) == 1
    by = f"{pair.draft} guessing for {pair.target}" if pair.draft else f"lookups in answers of {pair.target}"
    what = found[0].name if one else f"{len(found)} kinds of work together"
    over = "" if str(pair) == own else f"; taken over for {target}"
    return Stated(
        words,
        acceptance_of(found),
        f"measured with our host engine, {by}: {what}, {sum(each.guessed[0] for each in found):,} first guesses{over}",
        () if one else tuple((each.name, acceptance_of((each,))) for each in found if each.guessed[0] >= COUNTED),
    )
