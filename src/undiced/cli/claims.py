"""`undiced claims`: claims of the public interview, each computed and judged by its rule."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.asking import DrawnClock
from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.core.errors import InvalidRequestError
from undiced.core.printable import printable

if TYPE_CHECKING:
    from undiced.study.claims.bench import Bench
    from undiced.study.claims.claim import Claim
    from undiced.study.claims.every import Judged

_WIDTH, _NAME = 80, 46
_PAGE = ".md"


def claims(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which of them; all by default.", metavar="CLAIM...", show_default=False)
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the claims and their rules.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="Draws of what is assumed of a wafer.")] = 16,
    clock: DrawnClock = None,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Draw a claim's figure to this .svg or .png file.", show_default=False),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write the whole page, docs/claims.md, and its figures beside it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute what was claimed of the wafer-scale engine, and judge it by stated rules.

    A verdict is reproduced, holds only if (and what), not reproduced, or not testable.
    """
    from undiced.cli.terminal import emit
    from undiced.study.claims.every import named
    from undiced.study.words import parse_clock

    asked = named(names or [])
    hertz = parse_clock(clock)
    _check(asked, names or [], out, write)
    if listed:
        _list(asked, as_json)
        return
    found, bench = _judged(asked, samples, hertz, quiet=as_json, show=not as_json and write is None)
    if out is not None:
        _draw(next(each for each in found if each.result.draw is not None), out)
    if write is not None:
        _write(found, bench, write)
    if as_json:
        emit({"draws": bench.over.words, "claims": [each.claim.as_dict(each.result) for each in found]})
    elif write is None:
        _sum_up(found, bench)
    for path in (out, write):
        if path is not None and not as_json:
            typer.echo(printable(str(path)))


def _check(asked: list[Claim], names: list[str], out: Path | None, write: Path | None) -> None:
    """Files can be written, and there is something to write."""
    from undiced.cli.pictures import expect, expect_picture, see_form

    if write is not None:
        if names or out is not None:
            raise InvalidRequestError(
                "The page has all claims and their figures.", remedy="Leave names and --output out, or --write."
            )
        see_form(write, (_PAGE,), "Name a file that ends in .md.")
        expect(write)
    if out is not None:
        if sum(bool(claim.figure) for claim in asked) != 1:
            known = ", ".join(claim.name for claim in asked if claim.figure) or "70x, several-wafers"
            raise InvalidRequestError("One file holds one figure.", remedy=f"Name one claim that has one: {known}.")
        expect_picture(out)


def _judged(
    asked: list[Claim], samples: int, clock_hz: float | None, *, quiet: bool, show: bool
) -> tuple[list[Judged], Bench]:
    """All of them in turn, each told as soon as it is there."""
    from undiced.cli.terminal import Bar
    from undiced.study.claims.bench import Bench
    from undiced.study.claims.every import judge

    bench, found = Bench(samples, clock_hz), list["Judged"]()
    bar = Bar("Computing", quiet=quiet)

    def tell(share: float, what: str) -> None:
        bar.share(share, what)

    for each in judge(asked, bench, tell):
        found.append(each)
        if show:
            bar.close()
            _show(each)
            bar = Bar("Computing", quiet=quiet)
    bar.close()
    return found, bench


def _list(asked: list[Claim], as_json: bool) -> None:
    from undiced.cli.terminal import emit

    if as_json:
        emit([{"name": one.name, "said": one.said, "command": one.command, "rule": one.rule} for one in asked])
        return
    for one in asked:
        typer.secho(f"{one.name}: {one.said}", bold=True)
        _wrap(one.rule, "  ")


def _show(each: Judged) -> None:
    from undiced.study.claims.words import told

    typer.secho(printable(f"{each.claim.name}: {each.claim.said}"), bold=True)
    for finding in each.result.findings:
        name = textwrap.wrap(finding.what, _NAME)
        for line in name[:-1]:
            typer.echo(f"  {line}")
        source = "" if finding.source == "computed" else f"  [{finding.source}]"
        typer.echo(printable(f"  {name[-1]:<{_NAME}} {told(finding)}{source}"))
    _wrap(f"{each.result.verdict.text}.", "  => ")
    typer.echo()


def _sum_up(found: list[Judged], bench: Bench) -> None:
    if len(found) > 1:
        for each in found:
            typer.echo(f"{each.claim.name:<16}{each.result.verdict.kind}")
    _wrap(f"Wafers {bench.over.words}; GPUs are rooflines. Rules: undiced claims --list.", "")


def _draw(each: Judged, out: Path) -> None:
    from undiced.cli.pictures import encoded

    assert each.result.draw is not None
    drawn = encoded(each.result.draw(), out)
    with writing(out):
        out.write_bytes(drawn)


def _write(found: list[Judged], bench: Bench, write: Path) -> None:
    from undiced.study.claims.page import page

    for each in found:
        if each.result.draw is not None:
            _draw(each, write.parent / f"{each.claim.figure}.svg")
    with writing(write):
        write.write_text(page(found, bench), encoding="utf-8")


def _wrap(text: str, first: str) -> None:
    typer.echo(textwrap.fill(printable(text), _WIDTH, initial_indent=first, subsequent_indent=" " * len(first)))
