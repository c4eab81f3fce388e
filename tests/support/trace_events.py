"""A reader of trace event files that holds them to the format's rules, as viewers need them."""

import json
from collections import defaultdict
from dataclasses import dataclass, field

PHASES = {"X", "M", "C", "s", "f"}
METADATA = {
    "process_name": ("name", str),
    "process_labels": ("labels", str),
    "process_sort_index": ("sort_index", int),
    "thread_name": ("name", str),
    "thread_sort_index": ("sort_index", int),
}


@dataclass
class Read:
    """What a file holds: names of processes and threads, slices of each thread, flows by number, and amounts from
    times on by process and name."""

    about: dict
    processes: dict = field(default_factory=dict)
    threads: dict = field(default_factory=dict)
    slices: dict = field(default_factory=lambda: defaultdict(list))
    flows: dict = field(default_factory=dict)
    counters: dict = field(default_factory=lambda: defaultdict(list))

    def named(self, process: str, thread: str) -> list:
        """Slices of a thread by names."""
        numbers = [number for number, name in self.processes.items() if name == process]
        return [one for (at, each), name in self.threads.items() if at in numbers and name == thread
                for one in self.slices[at, each]]  # fmt: skip


def read(text: str) -> Read:
    """A file; AssertionError names the first event that breaks a rule."""
    file = json.loads(text, parse_constant=lambda name: (_ for _ in ()).throw(AssertionError(name)))
    assert file["displayTimeUnit"] in ("ms", "ns")
    found = Read(file["otherData"])
    flows: dict = defaultdict(list)
    for event in file["traceEvents"]:
        assert event["ph"] in PHASES, event
        where = event["pid"], event["tid"]
        assert all(type(number) is int and number > 0 for number in where), event
        if event["ph"] == "M":
            key, kind = METADATA[event["name"]]
            assert type(event["args"][key]) is kind, event
            if event["name"] == "process_name":
                assert found.processes.setdefault(event["pid"], event["args"][key]) == event["args"][key], event
            if event["name"] == "thread_name":
                assert found.threads.setdefault(where, event["args"][key]) == event["args"][key], event
            continue
        assert type(event["name"]) is str and event["name"] and event["ts"] >= 0, event
        if event["ph"] == "X":
            assert event["dur"] >= 0, event
            found.slices[where].append(event)
        elif event["ph"] == "C":
            ((unit, amount),) = event["args"].items()
            assert unit and amount >= 0 and event["pid"] in found.processes, event
            points = found.counters[event["pid"], event["name"]]
            assert not points or points[-1][0] <= event["ts"], f"{event} comes late"
            points.append((event["ts"], amount))
        else:
            flows[event["id"]].append(event)
    _nested(found)
    _bound(found, flows)
    return found


def _nanoseconds(microseconds: float) -> int:
    number = round(microseconds * 1000)
    assert abs(number - microseconds * 1000) < 1e-3, "finer than viewers keep"
    return number


def _ends(event: dict) -> tuple[int, int]:
    start = _nanoseconds(event["ts"])
    return start, start + _nanoseconds(event["dur"])


def _nested(found: Read) -> None:
    """Slices of a thread lie inside each other or beside each other."""
    for where, slices in found.slices.items():
        assert where in found.threads and where[0] in found.processes, f"no name: {where}"
        open_ends: list[int] = []
        for event in sorted(slices, key=lambda event: (_ends(event)[0], -_ends(event)[1])):
            start, end = _ends(event)
            while open_ends and open_ends[-1] <= start:
                open_ends.pop()
            assert not open_ends or end <= open_ends[-1], f"{event} leaves the slice that it lies in"
            open_ends.append(end)


def _bound(found: Read, flows: dict) -> None:
    """A flow begins once and ends once, later, each inside a slice."""
    for number, events in flows.items():
        assert [event["ph"] for event in events] == ["s", "f"], events
        assert len({(event["name"], event["cat"]) for event in events}) == 1 and events[1]["bp"] == "e"
        assert events[0]["ts"] <= events[1]["ts"]
        for event in events:
            at = _nanoseconds(event["ts"])
            held = [_ends(one) for one in found.slices[event["pid"], event["tid"]]]
            assert any(start <= at < end for start, end in held), f"no slice around {event}"
        found.flows[number] = events
