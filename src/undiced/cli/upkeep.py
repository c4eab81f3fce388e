"""What a core that fails takes, and what is left of a year: options and words of `undiced yield MODEL`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.given import refuse_given

if TYPE_CHECKING:
    from undiced.machine.availability import Availability, Upkeep
    from undiced.machine.wafer import Wafer
    from undiced.program.wafer.program import WaferProgram
    from undiced.study.recovery import Lost

_SPARES = (0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeeps:
    """How cores fail, and what stands ready for it; every pair of the first two is a row."""

    mtbf: Annotated[
        list[float] | None,
        typer.Option(help="Hours between failures of one core; several give rows. By default 1e9 to 1e11, assumed."),
    ] = None
    spare_wafers: Annotated[
        list[int] | None,
        typer.Option(help="Wafers that run beside the model's; several give rows. By default 0 and 1."),
    ] = None
    replace_hours: Annotated[
        float | None, typer.Option(help="Hours to replace a wafer where none is spare; 72 by default, assumed.")
    ] = None

    def each(self, given: typer.Context, model: str | None) -> list[Upkeep]:
        """All that are asked for.

        Raises:
            InvalidRequestError: a figure that makes no sense, or any without a model.
        """
        from undiced.machine.availability import CORE_MTBF_HOURS, REPLACE_HOURS, Upkeep

        if model is None:
            refuse_given(given, {"mtbf", "spare_wafers", "replace_hours"}, "goes with a model")
        low, high = CORE_MTBF_HOURS.span
        hours = REPLACE_HOURS.value if self.replace_hours is None else self.replace_hours
        return [
            Upkeep(mtbf, spare, hours)
            for mtbf in sorted(set(self.mtbf or (low, CORE_MTBF_HOURS.value, high)))
            for spare in sorted(set(self.spare_wafers or _SPARES))
        ]


@dataclass(frozen=True, slots=True)
class Year:
    """What one failure takes, what all checks take of a token, and a year of each upkeep."""

    took: Lost
    check_cycles: float
    context: int
    wafers: int
    cores: int
    years: list[Availability]

    @classmethod
    def of(cls, program: WaferProgram, wafer: Wafer, context: int, upkeeps: list[Upkeep]) -> Year:
        """Of a program with texts of so many positions."""
        from undiced.machine.availability import availability
        from undiced.study.recovery import check_cycles, in_the_middle, used_cores

        took, cores = in_the_middle(program, wafer, context), used_cores(program)
        years = [availability(wafer, cores, took.total_s, each) for each in upkeeps]
        return cls(took, check_cycles(program, wafer, context), context, program.wafers, cores, years)

    def as_dict(self) -> dict[str, object]:
        """Under stable keys, for scripts."""
        return {
            "wafers": self.wafers,
            "cores": self.cores,
            "context": self.context,
            "lost": self.took.as_dict(),
            "check_cycles_per_token": self.check_cycles,
            "years": [one.as_dict() for one in self.years],
        }

    def tell(self) -> None:
        """For people."""
        size = f"{self.cores:,} cores of {self.wafers} wafer{'s' * (self.wafers > 1)}"
        typer.secho(f"a core stops in the middle of a text; {size} have a part in it (simulated)", bold=True)
        typer.echo(f"  lost {words(self.took)}, {self.context:,} positions read again")
        typer.echo(f"  checks of all sums take {self.check_cycles:,.0f} cycles of a token at most")
        typer.echo(
            f"{'h between failures':>20}{'spare wafers':>14}{'failures a year':>17}{'wafers replaced':>17}"
            f"{'lost a year':>14}{'available':>15}"
        )
        for one in self.years:
            typer.echo(
                f"{one.upkeep.mtbf_hours:>20.3g}{one.upkeep.spare_wafers:>14}{one.failures:>17,.3g}{one.replaced:>17.2g}"
                f"{_time(one.lost_h):>14}{one.share:>15.7%}"
            )


def words(took: Lost) -> str:
    """What a failure took, part by part."""
    return (
        f"{took.total_s * 1e3:,.1f} ms: seen {took.detect_s * 1e3:.1f}, found by a roll call of "
        f"{took.roll_call_cycles:,.0f} cycles {took.locate_s * 1e3:.1f}, placed anew {took.remap_s * 1e3:,.0f} "
        f"(assumed), weights {took.reload_s * 1e3:.1f}, texts {took.rebuild_s * 1e3:,.1f}"
    )


def _time(hours: float) -> str:
    seconds = hours * 3600
    return f"{hours:,.1f} h" if hours >= 1 else f"{seconds / 60:.3g} min" if seconds >= 60 else f"{seconds:.3g} s"
