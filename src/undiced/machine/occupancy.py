"""Occupancy: until when the movers of a stream have the queues of a core to themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

from undiced.machine.moment import BEGUN, Moment, latest
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.channel import Channel, channel
from undiced.program.wafer.share import Shares


@dataclass(slots=True)
class Occupancy:
    """A core's queues in time, every core's alike.

    Attributes:
        sending: until when an output queue holds what a mover sends.
        hearing: until when an input queue hears a mover, and what else uses the queue without waiting for it.
    """

    shares: Shares
    sending: dict[int, Moment] = field(default_factory=dict)
    hearing: dict[int, tuple[Channel, Moment]] = field(default_factory=dict)

    def admitted(self, i: isa.Instruction) -> Moment:
        """When a mover's input queues hear no other channel's movers any more."""
        used = channel(i, self.shares)
        if used is None or i.route is None:  # type: ignore[union-attr]
            return BEGUN
        queues = range(i.route.input_queue, i.route.input_queue + used.inputs)  # type: ignore[union-attr]
        heard = [self.hearing[queue] for queue in queues if queue in self.hearing]
        return latest([BEGUN, *[until for other, until in heard if other != used]])

    def occupy(self, i: isa.Instruction, sent: Moment, heard: Moment) -> None:
        """A mover's queues are its own until it has sent and heard everything."""
        used = channel(i, self.shares)
        if used is None or (route := i.route) is None:  # type: ignore[union-attr]
            return
        for queue in range(route.output_queue, route.output_queue + used.queues):
            self.sending[queue] = sent
        for queue in range(route.input_queue, route.input_queue + used.inputs):
            self.hearing[queue] = used, heard

    def vacated(self, queue: int) -> Moment:
        """When the last wavelet of an output queue has left."""
        return self.sending.get(queue, BEGUN)
