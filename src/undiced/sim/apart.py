"""Prompts on wafers of their own: keys and values that go to those that decode, chunk by chunk as they are made.

Every wafer sends those of its layers over its own way out; the first token needs none of them, the second all. How such
a way would be used is not published: its bandwidth and latency are the machine's, nominal and assumed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import prod

from undiced.machine.wafer import Wafer
from undiced.program.wafer.layout import POSITION
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.value import BITS, Kind
from undiced.sim.crossing import between_s
from undiced.sim.prompt import Prompt


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Keys and values of a prompt on their way.

    Attributes:
        bytes: of the whole prompt; busiest_bytes_per_s: what the wafer with most of them sends on average.
        after_first_token_s: how long decoding waits for the last of them, over the ways between wafers.
        by_host_s: the same if hosts fetch them from wafers and bring them to others, once the prompt is done.
    """

    bytes: float
    busiest_bytes_per_s: float
    after_first_token_s: float
    by_host_s: float


def kv_bytes(program: WaferProgram) -> dict[int, float]:
    """Of one position, by wafer: of every layer's caches once, however many cores repeat them."""
    found: dict[int, float] = defaultdict(float)
    for region in program.regions:
        for run in region.runs:
            for value in program.streams[run.stream].values:
                if value.kind is Kind.CACHE:
                    elements = prod(dim.size for dim in value.dims if dim.name != POSITION)
                    found[region.wafer] += elements * BITS[value.dtype] / 8
    return dict(found)


def handed_over(program: WaferProgram, wafer: Wafer, prompt: Prompt, clock_hz: float) -> HandedOver:
    """Of a prompt: a wafer sends a chunk's as soon as it has left its layers."""
    system, each = wafer.system, kv_bytes(program)
    wafers = [visits[0].wafer for visits in program.places]
    done, sent = [0.0] * len(wafers), dict.fromkeys(each, 0.0)
    for chunk, tokens in zip(prompt.chunks, prompt.sizes, strict=True):
        at = 0.0
        for place, cycles in enumerate(chunk):
            at = done[place] = max(at, done[place]) + cycles / clock_hz
            if wafers[place] in each and wafers[place + 1 : place + 2] != [wafers[place]]:
                out = tokens * each[wafers[place]] / system.io_bytes_per_s.value
                sent[wafers[place]] = max(sent[wafers[place]], at) + out
    most = prompt.tokens * max(each.values())
    late = max(*sent.values(), done[-1]) - done[-1] + between_s(wafer, clock_hz)
    by_host = most / system.device_to_host_bytes_per_s.value + most / system.host_to_device_bytes_per_s.value
    return HandedOver(prompt.tokens * sum(each.values()), most / done[-1], late, by_host + system.launch_s.value)
