"""What moves a claim, as a picture: bars from one end of each assumption's range to the other. Knows no sample."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from undiced.cli.report import writing
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.draw.bars import Bars
    from undiced.validation.claims import Claims, Interval

_MOST = 12  # assumptions


def expect_plot(plot: Path, claims: bool) -> None:
    """There is something to draw, and it can be drawn there.

    Raises:
        InvalidRequestError: no claims are asked for, or the file is no picture. CannotWriteError.
    """
    from undiced.cli.pictures import expect, see_form

    if not claims:
        raise InvalidRequestError("--plot has no effect without --claims.", remedy="Leave it out, or add --claims.")
    see_form(plot)
    expect(plot)


def draw_moved(found: Claims, plot: Path) -> None:
    """Draws what moves the first claim, at each clock.

    Raises:
        InvalidRequestError: too few samples to tell.
    """
    from undiced.cli.pictures import encoded
    from undiced.draw.bars import draw

    mine = [claim for claim in found.intervals if claim.what == found.intervals[0].what]
    if not mine[0].effects:
        raise InvalidRequestError(
            f"{found.drawn} samples don't tell assumptions apart.", remedy="Ask for more: --samples 100."
        )
    drawn = encoded(draw(_bars(mine)), plot)
    with writing(plot):
        plot.write_bytes(drawn)


def _bars(claims: list[Interval]) -> Bars:
    from undiced.draw.bars import Bar, Bars

    bars = []
    for effect in claims[-1].effects[:_MOST]:
        for kind, claim in enumerate(claims):
            one = next(each for each in claim.effects if each.name == effect.name)
            middle = (one.at_low + one.at_high) / 2
            ends = f"{one.at_low:,.0f} to {one.at_high:,.0f}"
            name = f"{one.name.replace('_', ' ')}, {one.low:g} to {one.high:g}" if not kind else ""
            bars.append(Bar(name, one.at_high - middle, ends, one.at_low - middle, kind=kind))
    clocks = tuple(f"{claim.clock_ghz} GHz" for claim in claims)
    note = "Each bar is the claim from one end of an assumption's range to the other, in the mean over all else."
    return Bars(claims[0].what, (note, "Simulated."), f"{claims[0].unit}, from the middle", tuple(bars), kinds=clocks)
