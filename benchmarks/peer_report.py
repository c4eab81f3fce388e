"""What runs of benchmarks/peers.py come to: lines for the terminal, README.md's table, and a picture.

Tables are of the kept records. A figure is the median of the runs' medians; its range is that of all their rounds.
Sides are compared run by run, since runs are of several machines: a lead is the median of the runs' leads over the
fastest peer of each, and so are the picture's bars. Runs during which others took a tenth of the cores or more are
kept, and count only where there is no other.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import peer_calls as calls
from peer_calls import COLUMNS, SPEEDS

from undiced.cli.pictures import encoded
from undiced.draw.bars import Bar, Bars, draw

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "results" / "peers.jsonl"
PICTURE = ROOT / "docs" / "peers.svg"
OURS = "Undiced"
BUSY = 0.1
BEGIN, END = "<!-- python benchmarks/peers.py --report -->\n", "<!-- until here -->\n"
Record = dict


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure and its range."""

    value: float
    low: float
    high: float


def middle(values: Iterable[float]) -> float:
    """The median."""
    return float(statistics.median(values))


def keep(record: Record) -> None:
    """Appends a record."""
    KEPT.parent.mkdir(exist_ok=True)
    with KEPT.open("a") as file:
        file.write(json.dumps(record) + "\n")


def kept() -> list[Record]:
    """All records, oldest first."""
    return [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []


def counted(records: Sequence[Record]) -> list[Record]:
    """The runs that figures are of."""
    runs = [each for each in records if each["bench"] == "peers"]
    return [each for each in runs if (each["busy_share"] or 0) < BUSY] or runs


def cells(runs: Sequence[Record]) -> dict[str, dict[str, Cell]]:
    """By side and column."""
    found: dict[str, dict[str, Cell]] = {}
    for name in dict.fromkeys(name for run in runs for name in run["sides"]):
        figures = [run["sides"][name]["figures"] for run in runs if name in run["sides"]]
        found[name] = {}
        for column in COLUMNS:
            rounds = [each[column] for each in figures if each.get(column)]
            if rounds:
                every = [value for values in rounds for value in values]
                found[name][column] = Cell(middle(map(middle, rounds)), min(every), max(every))
    return found


def fastest(table: dict[str, dict[str, Cell]], column: str) -> str | None:
    """The best peer; None where there is none."""
    peers = [name for name in table if name != OURS and column in table[name]]
    best = min if calls.least_is_best(column) else max
    return best(peers, key=lambda name: table[name][column].value) if peers else None


def lead(table: dict[str, dict[str, Cell]], column: str) -> float:
    """How many times better ours is than the best peer; below 1 it is worse."""
    peer = fastest(table, column)
    ours, theirs = table[OURS][column].value, table[str(peer)][column].value
    return theirs / ours if calls.least_is_best(column) else ours / theirs


def leads(runs: Sequence[Record], column: str) -> tuple[Cell, list[str]] | None:
    """The median of the runs' leads over the best peer of each, and their range; those peers, the most frequent one
    first. None where no run has both.
    """
    tables = [table for table in (cells([run]) for run in runs) if column in table.get(OURS, {})]
    found = [(lead(table, column), peer) for table in tables if (peer := fastest(table, column))]
    every = [value for value, _ in found]
    peers = [peer for peer, _ in Counter(peer for _, peer in found).most_common()]
    return (Cell(middle(every), min(every), max(every)), peers) if every else None


def over_fastest(runs: Sequence[Record], name: str, column: str) -> Cell:
    """The median of a side's speeds over the fastest peer's of each run that has both, and the range of its rounds."""
    middles, rounds = [], []
    for run in runs:
        table = cells([run])
        peer = fastest(table, column)
        if peer is None or column not in table.get(name, {}):
            continue
        one = table[peer][column].value
        middles.append(table[name][column].value / one)
        rounds += [value / one for value in run["sides"][name]["figures"][column]]
    return Cell(middle(middles), min(rounds), max(rounds))


def lines_of(record: Record) -> list[str]:
    """A record in words."""
    said = [f"{record['cpu']}, {record['threads']} threads, {record['isa']}, {record['file']}, {record['date']}"]
    if record["bench"] == "peers quality":
        said += [
            f"{name:28} mean KL {row['mean_kl']:.4f}  p99 {row['p99_kl']:.4f}  top-1 {row['top1']:.1%}"
            f"  where clear {row['top1_clear']:.1%}  ({row['predictions']} predictions)"
            for name, row in record["sides"].items()
        ]
    else:
        table = cells([record])
        said.append(f"{'':18}" + "".join(f"{name:>26}" for name in table) + f"{'over the fastest peer':>26}")
        said += [_line(table, column) for column in COLUMNS if column in table.get(OURS, {})]
        if (record["busy_share"] or 0) >= BUSY:
            said.append(f"Others took {record['busy_share']:.0%} of the cores meanwhile: measure again.")
    return said + [f"{name} is missing: {why}" for name, why in record["missing"].items()]


def _line(table: dict[str, dict[str, Cell]], column: str) -> str:
    shown = "".join(f"{_told(row.get(column), column):>26}" for row in table.values())
    peer = fastest(table, column)
    return f"{column:18}{shown}" + (f"{lead(table, column):>8.2f}x {peer}" if peer else "")


def _told(cell: Cell | None, column: str) -> str:
    if cell is None:
        return "-"
    form = "{:,.2f}" if column == calls.START else "{:,.0f}"
    low, high = form.format(cell.low), form.format(cell.high)
    return form.format(cell.value) + (f" ({low} to {high})" if low != high else "")


def readme(records: Sequence[Record]) -> str:
    """The part of README.md that figures of peers stand in."""
    return "\n".join(_readme(records)) + "\n"


def _readme(records: Sequence[Record]) -> Iterator[str]:
    runs = counted(records)
    if not runs:
        yield "No run is kept yet: `python benchmarks/peers.py` makes one."
        return
    table, names = cells(runs), list(dict.fromkeys(name for run in runs for name in run["sides"]))
    yield from _caption(runs)
    yield ""
    yield "| | " + " | ".join(names) + " | Undiced over the fastest peer |"
    yield "|---|" + "---|" * (len(names) + 1)
    for column in COLUMNS:
        row = [_told(table[name].get(column), column) for name in names]
        over = _over(leads(runs, column))
        yield f"| {column}{', ' + calls.unit(column) if column not in SPEEDS else ''} | {' | '.join(row)} | {over} |"
    judged = [each for each in records if each["bench"] == "peers quality"]
    if judged:
        last, sides = judged[-1], judged[-1]["sides"]
        near = [f"{sides[name]['mean_kl']:.4f} / {sides[name]['top1']:.1%}" if name in sides else "-" for name in names]
        of = f"{sides[OURS]['predictions']} predictions, {last['commit']}, {last['isa']}"
        yield f"| mean KL, nat / likeliest token agrees ({of}) | {' | '.join(near)} | |"
    for run in runs:
        for name, why in run["missing"].items():
            yield f"\n{name} is missing in a run on {run['date']}: {why.rsplit(' / ', 1)[-1]}"
    yield f"\n![Speeds of all sides, work by work](docs/{PICTURE.name})"


def _over(found: tuple[Cell, list[str]] | None) -> str:
    if found is None:
        return "-"
    cell, peers = found
    low, high = f"{cell.low:.2f}", f"{cell.high:.2f}"
    return f"**{cell.value:.2f}x** {'; '.join(peers)}" + (f" ({low} to {high} by run)" if low != high else "")


def _caption(runs: Sequence[Record]) -> Iterator[str]:
    days = sorted({run["date"] for run in runs})
    machines = _machines(runs)
    commits = ", ".join(dict.fromkeys(run["commit"] for run in runs))
    rounds = sum(run["rounds"] for run in runs)
    busy = max((run["busy_share"] or 0) for run in runs)
    versions = {name: side["version"] for run in runs for name, side in run["sides"].items() if name != OURS}
    yield f"Tokens per second, all sides in turn on the same prompts: medians of {rounds} rounds (lowest to highest) in"
    yield f"{_counted(len(runs), 'run')} on {_counted(len(days), 'day')} and {_counted(len(machines), 'machine')}"
    yield f"({'; '.join(machines)}; {', '.join(days)}; commits {commits};"
    yield f"{', '.join(dict.fromkeys(versions.values()))})."
    if busy >= BUSY:
        yield f"**The machine was shared: others took up to {busy:.0%} of it, so only ratios mean something.**"
    if len(days) + len(machines) < 3:
        yield "One day and one machine: a second one is still to come."
    yield _share(runs)


def _machines(runs: Sequence[Record]) -> list[str]:
    return sorted({f"{run['cpu']}, {run['cores']} cores, {run['isa']}, {run['threads']} threads" for run in runs})


def _share(runs: Sequence[Record]) -> str:
    """What decoding reaches of the memory's speed."""
    each, limits = runs[-1]["bytes_per_token"], [run["limits"]["bytes_per_s"] for run in runs]
    speeds = [middle(run["sides"][OURS]["figures"]["decode"]) for run in runs]
    reached = [speed * run["bytes_per_token"] / limit for speed, run, limit in zip(speeds, runs, limits, strict=True)]
    low, high = f"{min(reached):.0%}", f"{max(reached):.0%}"
    by_run = f" ({low} to {high} by run)" if low != high else ""
    return (
        f"Decoding reads {each / 1e6:.0f} MB of weights a token: Undiced's at {middle(reached):.0%}{by_run} of the"
        f" {_between(limits)} GB/s that a probe read in the same rounds; `undiced bench engine` has that for every kind"
        " of work."
    )


def _between(limits: Sequence[float]) -> str:
    low, high = f"{min(limits) / 1e9:.1f}", f"{max(limits) / 1e9:.1f}"
    return low if low == high else f"{low} to {high}"


def _counted(count: int, noun: str) -> str:
    words = ("no", "one", "two", "three", "four", "five")
    return f"{words[count] if count < len(words) else count} {noun}{'' if count == 1 else 's'}"


def bars(records: Sequence[Record]) -> Bars:
    """Speeds over that of the fastest peer, work by work."""
    runs = counted(records)
    table = cells(runs)
    names, found = list(table), []
    for column in (each for each in SPEEDS if all(each in row for row in table.values())):
        for kind, name in enumerate(names):
            cell, words = over_fastest(runs, name, column), f"{table[name][column].value:,.0f} tokens/s"
            found.append(Bar(column if kind == 0 else "", cell.value, words, None, cell.low, cell.high, kind))
    notes = (
        f"{'; '.join(_machines(runs))}; {runs[-1]['file']}.",
        "Over the fastest peer of each run: medians of the runs, whiskers from the lowest to the highest round; "
        "tokens/s are medians of all.",
        "The same prompts for all, in turn; python benchmarks/peers.py",
    )
    return Bars("Undiced and its peers", notes, "times the fastest peer", tuple(found), kinds=tuple(names))


def picture(records: Sequence[Record]) -> bytes:
    """docs/peers.svg."""
    return encoded(draw(bars(records)), PICTURE)


def write() -> None:
    """README.md's table and the picture."""
    records = kept()
    page = ROOT / "README.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(before + BEGIN + readme(records) + END + rest.partition(END)[2])
    PICTURE.write_bytes(picture(records))


def processor() -> str:
    """The processor's name, as Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
