"""Regions in a row that do nothing but hand a state on, and what each has then; at level 2 alone."""

from dataclasses import dataclass

import numpy as np

from undiced.compiler.wafer.colors import routed, used_by
from undiced.compiler.wafer.place import Tiling
from undiced.machine import wse3
from undiced.machine.fabric import fabric
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Dim, Shard
from undiced.program.wafer.program import Region, Run, Stream, WaferProgram
from undiced.program.wafer.value import DType, Kind, Value
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower import image
from undiced.sim.fabric.lower.legs import lower_token
from undiced.sim.fabric.simulate import simulate


@dataclass(frozen=True)
class Serpentine:
    """`count` regions of `width` x `height` cores, `across` x `down` of them on the wafer; with a state of `share`
    elements a row, and a token. `tied`: the last hands the state back to the first, else the token."""

    count: int
    width: int
    height: int
    across: int
    down: int
    upright: bool = False
    turned: bool = False
    share: int = 3
    wire: str = "f32"
    tied: bool = False

    @property
    def rows(self):
        return self.width if self.turned else self.height

    @property
    def columns(self):
        return self.height if self.turned else self.width

    def values(self):
        hidden = (Dim("hidden", self.share * self.rows),)
        return (
            Value("hidden", hidden, DType.F32, (Shard("hidden", self.rows),), (), Kind.STATE),
            Value("range", (), DType.F32, (), (), Kind.STATE),
            Value("token", (Dim("count", 1),), DType.F32, (), (), Kind.STATE),
        )

    def program(self):
        """The program, with colors and queues."""

        def stream(name, *instructions):
            return Stream(name, self.values(), tuple(instructions))

        def arriving(name, back):
            over = (isa.Transfer("hidden", each, each, self.wire, back=back) for each in ("hidden", "range"))
            return stream(name, *over)

        streams = (stream("first"), arriving("enter", False), arriving("back", True), stream("return", self._return()))
        streams = routed(streams, used_by(streams, ()), (1.0, 2.0, 1.0, 1.0), fabric(wse3()))
        tiling = Tiling(self.width, self.height, self.across, self.down, self.upright)
        runs = [(Run(0),), *[(Run(1),)] * (self.count - 1)]
        if not self.tied:
            runs[-1] = (*runs[-1], Run(3))
        regions = [Region(str(n), *tiling.place(n), each, self.turned) for n, each in enumerate(runs)]
        if self.tied:
            regions.append(Region("0, again", *tiling.place(0), (Run(2),), self.turned))
        return WaferProgram("m", "toy", "", "", Bounds(1, 1), tuple(regions), streams, (), (), 1)

    def _return(self):
        return isa.Return("token", "token", 1, False)

    def given(self):
        """[rows, columns, ...] of what the first region has, and the last (its token)."""
        drawn = np.random.default_rng(3).normal(0, 1, (self.rows, 1, self.share)).astype(np.float16)
        hidden = np.broadcast_to(drawn.astype(np.float32), (self.rows, self.columns, self.share))
        return hidden, np.full((1, 1), 0.25, np.float32), np.full((1, 1, 1), 77, np.float32)

    def run(self, **how):
        """Frames and the outcome; every core that hands nothing on of its own holds 0 at first."""
        (leg,) = lower_token(self.program(), token=0, position=0, wafer=wse3())
        made = leg.run
        hidden, range_, token = self.given()
        bound = [{} for _ in made.frames]
        bound[0], bound[-1] = {"hidden": hidden, "range": range_}, {**bound[-1], "token": token}
        return made.frames, simulate(made.program, Hardware.of(wse3()), memory=made.memory(bound), **how)

    def wrong(self, frames, outcome):
        """Regions and states that aren't what the first region had; or the last, of the token."""
        hidden, range_, token = self.given()
        found = []
        for number, frame in enumerate(frames):
            for name, wanted in (("hidden", hidden), ("range", range_)):
                if not (image.read(outcome.memory, frame, name) == wanted).all():
                    found.append((number, name))
        if not self.tied and not (image.read(outcome.memory, frames[0], "token") == token).all():
            found.append((0, "token"))
        return found
