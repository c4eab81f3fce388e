"""Rows, fits and claims as text cells and lines, for terminals and for the page. Knows no row and no mapping."""

from __future__ import annotations

from collections.abc import Iterator

from undiced.validation.calibration import Fit
from undiced.validation.claims import CLOCKS_GHZ, Claims, Interval, Ladder
from undiced.validation.fabric_rows import FABRIC_ROWS
from undiced.validation.joint import assumed
from undiced.validation.judgement import Judged, Spread, kinds, worst
from undiced.validation.open_rows import open_rows
from undiced.validation.outcome import Outcome
from undiced.validation.replayed import PLACES, Replayed

Cells = tuple[str, ...]
JUDGED = ("wires alone", "set-ups alike", "constants as they stand")
_TOLD = 0.05  # a smaller share of a row in telling a parameter is not worth a word


def row_table(outcomes: list[Outcome]) -> list[Cells]:
    """Header first: id, what, published, simulated, error, aim, provenance, source, clock."""
    lines: list[Cells] = [("id", "what", "published", "simulated", "error", "aim", "provenance", "source", "clock")]
    for outcome in outcomes:
        row = outcome.row
        lines.append(
            (
                row.id,
                row.what,
                "-" if row.published is None else f"{number(row.published)} {row.unit}",
                f"{number(outcome.simulated)} {row.unit}",
                "-" if outcome.error is None else f"{outcome.error:+.1%}",
                aim_of(outcome, "report only"),
                row.provenance,
                row.source,
                row.clock,
            )
        )
    return lines


def aim_of(outcome: Outcome, none: str = "-") -> str:
    """A row's aim; `none` is said where it has none."""
    if not outcome.can_fail:
        return "fitted"
    return none if outcome.row.tolerance is None else f"{outcome.row.tolerance:.0%}"


_MADE = {"value": "", "ratio": "first over second: ", "slope": "per position: ", "count": "how many are answered"}


def command_table() -> list[Cells]:
    """How every open row is replayed: commands, and what of their answers is its figure."""
    lines: dict[tuple[str, tuple[str, ...]], Cells] = {}
    for row in open_rows():
        told = row.replayed
        if told is not None:
            shown = "<br>".join(f"`undiced {one}`" for one in told.commands)
            figure = _MADE[told.made] if told.key == PLACES and told.made == "count" else _figure(told)
            lines.setdefault((row.id, told.commands), (row.id, shown, figure))
    return [("id", "commands, each with `--json`", "figure"), *lines.values()]


def _figure(told: Replayed) -> str:
    return _MADE[told.made] + ("1 if it is answered, 0 if refused" if told.key == PLACES else f"`{told.key}`")


def fabric_table() -> list[Cells]:
    """Points of the fabric beside kernels by hand."""

    def cycles(value: int | None) -> str:
        return "-" if value is None else f"{value:,}"

    lines: list[Cells] = [
        ("id", "what", "machine", "published", "wires and elements", "with set-ups", "the difference")
    ]
    for row in FABRIC_ROWS:
        both = cycles(row.wires), cycles(row.whole)
        lines.append((row.id, row.what, row.machine, f"{row.published:,.0f}", *both, row.why))
    return lines


def judged_table(found: list[Judged]) -> list[Cells]:
    """Errors of closed forms by kind of collective: 5 %, 50 %, 95 % and the mean, three times."""
    lines: list[Cells] = [("collectives", "points", *JUDGED)]
    for kind, points in kinds(found).items():
        sides = ([each.wires for each in points], [each.alike for each in points], [each.whole for each in points])
        spreads = (Spread.of([one.error for one in side]) for side in sides)
        lines.append((kind, str(len(points)), *map(_spread, spreads)))
    return lines


def _spread(found: Spread) -> str:
    return " ".join(f"{error:+.0%}" for error in (found.low, found.median, found.high)) + f" ({found.mean:+.1%})"


def worst_table(found: list[Judged]) -> list[Cells]:
    """Points whose wires differ most."""
    lines: list[Cells] = [("machine", "collective", "closed form", "fabric", "error", "why")]
    for each in worst(found):
        one = each.wires
        cycles = f"{one.closed:,.0f}", f"{one.fabric:,}"
        lines.append((one.collective.machine, one.collective.what, *cycles, f"{one.error:+.0%}", each.reason))
    return lines


def claim_table(found: Claims) -> list[Cells]:
    """Every claim with its interval, both clocks side by side."""
    lines: list[Cells] = [("claim", "unit", *(f"{clock} GHz: presets (5 %, 50 %, 95 %)" for clock in CLOCKS_GHZ))]
    for what in dict.fromkeys(claim.what for claim in found.intervals):
        mine = {claim.clock_ghz: claim for claim in found.intervals if claim.what == what}
        first = next(iter(mine.values()))
        cells = (_interval(mine[clock]) if clock in mine else "-" for clock in CLOCKS_GHZ)
        lines.append((what, first.unit, *((_interval(first), "the same") if None in mine else cells)))
    return lines


def _interval(claim: Interval) -> str:
    low, median, high = (f"{value:,.4g}" for value in (claim.low, claim.median, claim.high))
    return f"{claim.value:,.4g} ({low}, {median}, {high})"


def moved_table(found: Claims) -> list[Cells]:
    """What moves the first claim, both clocks side by side: from one end of an assumption's range to the other."""
    mine = {claim.clock_ghz: claim for claim in found.intervals if claim.what == found.intervals[0].what}
    lines: list[Cells] = [("assumed", "range", *(f"{clock} GHz" for clock in mine))]
    last = {clock: {effect.name: effect for effect in claim.effects} for clock, claim in mine.items()}
    for effect in max(mine.items(), key=lambda pair: pair[0] or 0.0)[1].effects:
        both = (named[effect.name] for named in last.values())
        moves = (f"{one.at_low:,.0f} to {one.at_high:,.0f} ({one.at_high - one.at_low:+,.0f})" for one in both)
        lines.append((effect.name, f"{effect.low:g} to {effect.high:g}", *moves))
    return lines


def ladder_table(found: Ladder) -> list[Cells]:
    """Every step from a published mapping to ours."""
    lines: list[Cells] = [("step", "region", "cycles per layer", "gain", "evidence")]
    for rung, cycles in zip(found.rungs, found.cycles, strict=True):
        gain, region = f"{found.cycles[0] / cycles:.2f}x", f"{rung.region[0]} x {rung.region[1]}"
        lines.append((rung.what, region, f"{cycles:,.0f}", gain, rung.evidence))
    return lines


def kept_line(found: Claims) -> str:
    """How many samples the calibration rows allowed."""
    parts = (f"{count} of {found.drawn} of {machine}" for machine, count in found.kept.items())
    return f"samples kept: {', '.join(parts)}"


def fit_lines(fit: Fit) -> Iterator[str]:
    """What a problem's rows say: values, who tells them, rank and condition, errors."""
    problem = fit.problem
    yield f"{problem.machine}: {', '.join(dict.fromkeys(row.id for row in problem.rows))}"
    yield f"  {'parameter':<22} {'value':>10}  how it is known; the share of each row in telling it"
    for name in problem.fitted:
        shares = zip(problem.rows, fit.identified_by[name], strict=True)
        told = ", ".join(f"{row.id} {share:+.2f}" for row, share in shares if abs(share) >= _TOLD)
        known = f"fitted, to {fit.deviations[name]:.2g}; told by {told}"
        yield f"  {name:<22} {fit.values[name]:10.4f}  {known}"
    ranges = {parameter.name: parameter for parameter in assumed(problem.machine)}
    for name in problem.assumed:
        ends = f"{ranges[name].low:g} to {ranges[name].high:g}"
        yield f"  {name:<22} {fit.values[name]:10.4f}  assumed, {ends}"
    yield f"  Jacobian rank {fit.rank} of {len(fit.values)} parameters, {len(fit.errors)} rows"
    yield f"  condition {fit.condition:.1f} over the {len(problem.fitted)} fitted"
    yield f"    {'row':<5} {'error':>8}  what is simulated"
    for row, error in zip(problem.rows, fit.errors, strict=True):
        yield f"    {row.id:<5} {error:+8.2%}  {row.what}"


def assumed_lines(machine: str) -> Iterator[str]:
    """Every parameter that claims are sampled over, with its range."""
    yield f"{machine}: assumed, and sampled together for claims"
    yield f"  {'parameter':<22} {'from':>10} to"
    for parameter in assumed(machine):
        yield f"  {parameter.name:<22} {parameter.low:10.4g} to {parameter.high:g}"


def number(value: float) -> str:
    """A figure of a row for people."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
