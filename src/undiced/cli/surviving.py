"""A text on an emulated mesh of which a core fails in the middle: seen, found, passed, and the text goes on.

The core is told to the executor alone. What finds it is a sum that does not add up and a roll call of its region.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from undiced.cli.emulation import Failing, Meshed, Progress, Steps, Texts
from undiced.core.errors import CompileError, EngineError, InvalidRequestError
from undiced.core.option import option
from undiced.sim.mesh.failing import CoreFailureError

if TYPE_CHECKING:
    from undiced.machine.wafer import Wafer
    from undiced.program.wafer.program import WaferProgram
    from undiced.sim.mesh.executor import MeshExecutor
    from undiced.sim.mesh.failing import Failure
    from undiced.sim.mesh.roll_call import Places
    from undiced.study.recovery import Lost

_WORDS = re.compile(r"(\d{1,6}),(\d{1,6})(?:,(\d{1,6}))?@(\d{1,9})(?::(stop|corrupt))?")
_KINDS: dict[str, Literal["silent", "corrupt"]] = {"stop": "silent", "corrupt": "corrupt"}
Placing = Callable[[Meshed, Failing], "MeshExecutor"]


@dataclass(frozen=True, slots=True)
class Planned:
    """Which core fails how while which token is made, counted from 1."""

    failure: Failure
    token: int


@dataclass(frozen=True, slots=True)
class Outage:
    """What became of a failure.

    Attributes:
        seen: what the sum said. found: cores that the roll call named. moved: cores that lie elsewhere now.
    """

    token: int
    kind: str
    seen: str
    found: Places
    wafer: int
    moved: int
    took: Lost

    def as_dict(self) -> dict[str, object]:
        """Under stable keys, for scripts."""
        return {
            "token": self.token,
            "kind": self.kind,
            "seen": self.seen,
            "found": [list(core) for core in self.found],
            "wafer": self.wafer,
            "cores_moved": self.moved,
            "lost": self.took.as_dict(),
        }

    def told(self) -> str:
        """For people."""
        from undiced.cli.upkeep import words

        found = " and ".join(f"{x},{y}" for x, y in self.found)
        return (
            f"While token {self.token} was made: {self.seen} A roll call found core {found} of wafer {self.wafer}; "
            f"{self.moved} cores moved, and the text was read again. A wafer loses {words(self.took)} (simulated)."
        )


def planned(words: str) -> Planned:
    """`X,Y[,WAFER]@TOKEN[:stop|corrupt]`: a physical place, spares counted.

    Raises:
        InvalidRequestError: anything else.
    """
    from undiced.sim.mesh.failing import Failure

    found = _WORDS.fullmatch(words.strip())
    if not found or not int(found[4]):
        raise InvalidRequestError(
            f"{option('fail', words[:40])} names no core and token.",
            remedy="Use X,Y@TOKEN, or X,Y,WAFER@TOKEN:corrupt: core 5,7 while token 3 is made is 5,7@3.",
        )
    x, y, wafer = (int(each or 0) for each in found.groups()[:3])
    return Planned(Failure(wafer, x, y, _KINDS[found[5] or "stop"]), int(found[4]))


def check_used(program: WaferProgram, wafer: Wafer, failure: Failure) -> None:
    """The core has a part in the program; nothing would notice any other.

    Raises:
        CompileError: it has none, or is off the wafer.
    """
    from undiced.sim.mesh.ground import Ground

    columns, rows = wafer.built
    where = f"Core {failure.x},{failure.y} of wafer {failure.wafer}"
    if not (failure.wafer < program.wafers and failure.x < columns and failure.y < rows):
        raise CompileError(
            f"{where} is none of {program.wafers} x {columns} x {rows} cores.",
            remedy="Places are counted from 0, spare columns included.",
        )
    here = [region for region in program.regions if region.wafer == failure.wafer]
    one = program.individual(failure.wafer)
    assert one is not None
    if not any(Ground(one, region).logical(failure.x, failure.y) for region in here):
        rect, row = here[0].rect, one.row(here[0].rect.y)
        raise CompileError(
            f"{where} has no part in the program: it is a spare, dead, or beside all regions.",
            remedy=f"Use one that has, as {row[rect.x]},{rect.y}.",
        )


class Surviving(Texts):
    """Texts on a mesh with a core that fails; `outage` is set once it has.

    Args:
        place: makes an executor, showing how far it is.

    Raises:
        CompileError: the core has no part in the program.
    """

    def __init__(self, meshed: Meshed, wafer: Wafer, plan: Planned, place: Placing) -> None:
        from undiced.study.recovery import individual

        meshed = replace(meshed, program=individual(meshed.program, wafer))
        check_used(meshed.program, wafer, plan.failure)
        self._plan, self._place = plan, place
        self._made = 0
        self.outage: Outage | None = None
        self.meshed = meshed
        super().__init__(place(meshed, self._failing), wafer)

    def told(self) -> str:
        """What became of the failure, for people."""
        if self.outage is None:
            return f"No core failed: the texts ended before token {self._plan.token}."
        return self.outage.told()

    def _failing(self) -> Failure | None:
        return self._plan.failure if self._made + 1 >= self._plan.token else None

    def continued(
        self, prompts: Sequence[Sequence[int]], count: int, stops: frozenset[int], progress: Progress | None = None
    ) -> Steps:
        """As of `Texts`, whatever fails meanwhile.

        Raises:
            UnrepairableError: no spare helps; the wafer would have to be replaced.
            EngineError: a roll call finds no core that fails.
        """
        texts = {which: list(prompt) for which, prompt in enumerate(prompts)}
        left = dict.fromkeys(texts, count)
        while True:
            try:
                for made in self.steps({which: (texts[which], left[which]) for which in texts}, stops, progress):
                    for which, token in made:
                        texts[which].append(token)
                        left[which] -= 1
                        if token in stops or not left[which]:
                            del texts[which]
                    self._made = count - min(left.values())
                    yield made
                return
            except CoreFailureError as error:
                self._recover(error, [len(text) for text in texts.values()])

    def _recover(self, error: CoreFailureError, positions: list[int]) -> None:
        from undiced.sim.mesh.roll_call import answers
        from undiced.study.recovery import lost, moved_cores, recovered

        before, failure = self.meshed.program, self._plan.failure
        found = answers(before, error.region, failure)
        if not found:
            raise EngineError(f"{error.message} A roll call of its region finds every core.", remedy="Run it again.")
        number = before.regions[error.region].wafer
        after = recovered(before, self.wafer, number, found)
        silent = failure.kind == "silent"
        took = lost(before, after, self.wafer, positions, error.region, silent)
        self.outage = Outage(
            self._made + 1, failure.kind, error.message, found, number, moved_cores(before, after), took
        )
        clamped = self.executor.clamped
        self.clock.advance(took.total_s - took.rebuild_s)  # texts are read again by the steps that follow
        self.meshed = replace(self.meshed, program=after)
        self.executor = self._place(self.meshed, self._failing)
        self.executor.clamped = clamped
