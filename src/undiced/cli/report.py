"""A simulated run for people: how it fits, how fast, and where the cycles go. Takes the keys of `simulate --json`."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import typer

from undiced.core.errors import CannotWriteError
from undiced.core.printable import printable

_KINDS_SHOWN, _OPERATORS_SHOWN = 8, 12
_DIGEST = re.compile(r"\.[0-9a-f]{8}$")  # of a table, behind what it is


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A file that can't be written is the user's to mend, not a bug. Raises CannotWriteError, which names it."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "Make room there, or name another file." if full else "Name another file."
        raise CannotWriteError(f"Cannot write {path}: {error.strerror}.", remedy=remedy) from None


def say_labeled(label: str, words: str, width: int) -> None:
    """One line of a report, its label as wide as those of its neighbors."""
    typer.echo(printable(f"  {label:<{width}}{words}"))


def show(found: dict[str, object]) -> None:
    """Prints a summary; every second stands beside its clock."""
    if "cycles_per_token" not in found:
        for name, value in found.items():
            _say(f"{name:18}{value:,.0f}" if isinstance(value, float) else f"{name:18}{value}")
        return
    prompt = found["phase"] == "prefill"
    clock = float(str(found["clock_hz"])) / 1e9
    _say(f"{found['model']} on {found['wafers']} x {found['machine']}, mapping {found['mapping']}", bold=True)
    _say(f"simulated at {clock:g} GHz, {found['phase']}, batch {found['batch']}, context {found['context']}")
    for note in _notes(found):
        _say(note)
    rows = [
        ("fits", "yes" if found["fits"] else _unfit(found)),
        ("regions", ", ".join(cast(list[str], found["regions"]))),
        ("prompt tokens per second" if prompt else "tokens per second, one user", f"{found['tokens_per_second']:,.0f}"),
        (
            "prompt after prompt" if prompt else _together(found),
            f"{found['aggregate_tokens_per_second']:,.0f}",
        ),
        ("prompt cycles" if prompt else "cycles per token", f"{found['cycles_per_token']:,.0f}"),
        ("prompt cycles per layer" if prompt else "cycles per layer", f"{found['cycles_per_layer']:,.0f}"),
        ("interval of chunks" if "prefix" in found else "initiation interval", _interval(found)),
        *_chunks(found),
        ("time to first token", f"{float(str(found['time_to_first_token_s'])) * 1e3:,.1f} ms"),
        ("fullest core", f"{found['sram_bytes_max_per_core']:,} bytes"),
        *_longest(found),
        *_narrow(found),
        *_defects(found),
        *_banks(found),
    ]
    for name, text in rows:
        _say(f"  {name:30}{text}")
    breakdown = cast(dict[str, dict[str, float]], found["breakdown"])
    of_chunk = " of the last full chunk" * ("dense_peak_share" in found)
    _shares(f"cycles{of_chunk} by kind", breakdown["kind"], _KINDS_SHOWN)
    _shares(f"cycles{of_chunk} by operator", breakdown["operator"], _OPERATORS_SHOWN)
    _experts(cast(dict[str, object], found.get("experts", {})))
    for point in cast(list[dict[str, float]], found.get("frontier", [])):
        _say(
            f"  {point['streams']:5,.0f} streams of {point['context']:9,.0f} tokens: {point['tokens_per_second']:7,.0f}"
            f" tokens per second each, {point['aggregate_tokens_per_second']:9,.0f} in all"
        )
    _guesses(cast(dict[str, object], found.get("speculation", {})))


def _guesses(found: dict[str, object]) -> None:
    """What guesses are worth, where they are made, and what decides that."""
    if not found:
        return
    figures = cast(dict[str, float], found)
    homes, works = (cast(list[dict[str, float]], found[name]) for name in ("homes", "by_work"))
    to_target, to_draft = (figures[f"crossing_to_{end}_s"] * 1e6 for end in ("target", "draft"))
    _say(f"  guesses by {found['draft']}, made on {found['draft_on']}")
    rows = [
        ("tokens per second, one user", f"{figures['tokens_per_second']:,.0f}, {figures['gain']:.2f} times as many"),
        ("acceptance", str(found["provenance"])),
        ("rounds with guesses", f"{figures['rounds_with_guesses']:.0%}"),
        ("a round's guesses", f"{found['drafted_tokens']} at most, for {figures['tokens_per_round']:.2f} tokens"),
        ("rows of the target per token", f"{figures['rows_per_token']:.2f}: wrong ones drain and are overwritten"),
        *_joules(cast(dict[str, dict[str, float]], found.get("energy", {}))),
        ("crossings", f"{to_target:.1f} us to the target, {to_draft:.1f} us back (assumed)"),
        *(
            (f"on {each['on']}", f"{each['tokens_per_second']:,.0f}")
            for each in homes
            if each["on"] != found["draft_on"]
        ),
        *((f"of {each['work']}", f"{each['tokens_per_second']:,.0f}") for each in works),
    ]
    for name, text in rows:
        _say(f"    {name:30}{text}")


def _joules(energy: dict[str, dict[str, float]]) -> Iterator[tuple[str, str]]:
    """Of a token with guesses, what of it is for those that are wrong, and without any."""
    if not energy:
        return
    total, vain, draft, plain = (
        energy[name]["median"] for name in ("token_j", "rows_in_vain_j", "draft_j", "token_j_without_guesses")
    )
    words = f"{total:.3g}, of it rows in vain {vain:.2g} and the draft {draft:.2g}; without guesses {plain:.3g}"
    yield "joules a token (assumed)", words


def _experts(crowd: dict[str, object]) -> None:
    """What the batch's tokens do to the experts of a layer."""
    if not crowd:
        return
    _say(f"  experts of a layer, {crowd['tokens']} tokens together ({crowd['provenance']})")
    rows = [
        ("different ones chosen", f"{crowd['distinct_experts']:.1f} by {crowd['choices']} choices"),
        ("tokens of the busiest", f"{crowd['busiest_expert_tokens']:.1f}"),
        ("choices of the fullest group", f"{crowd['fullest_group_choices']:.1f} of {crowd['groups']} groups"),
    ]
    for name, text in rows:
        _say(f"    {name:28}{text}")


def _notes(found: dict[str, object]) -> Iterator[str]:
    """What was taken for granted: the family, sizes that a file does not state, wafers that stay empty."""
    if "family" in found:
        assumed = cast(dict[str, object], found["assumed_sizes"])
        sizes = ", ".join(f"{name} {value}" for name, value in assumed.items())
        yield f"family {found['family']}" + (f"; not stated, so the family's default: {sizes}" if sizes else "")
    if "prefix" in found:
        yield f"chunks of {found['chunk']} tokens, {found['prefix']} positions there already"
        yield str(found["provenance"])
    given, used = cast(int, found.get("wafers_given", 0)), cast(int, found["wafers"])
    if given > used:
        yield f"{given} wafers given, {used} used: {given - used} stay empty"


def _chunks(found: dict[str, object]) -> Iterator[tuple[str, str]]:
    """How a prompt is taken, and how the same program decodes."""
    if "dense_peak_share" not in found:
        return
    yield "chunks", f"{found['chunks']:,} of {found['chunk']} tokens, {found['chunk_cycles']:,.0f} cycles apart"
    yield "share of dense peak", f"{found['dense_peak_share']:.1%} (16-bit multiply-adds of all cores)"
    decoding = cast(dict[str, float] | None, found.get("decoding"))
    if decoding is not None:
        yield "the same program decodes", f"{decoding['tokens_per_second']:,.0f} tokens per second, one user"
    yield from _among(cast(dict[str, object] | None, found.get("interleaved")))
    yield from _others(cast(dict[str, float] | None, found.get("apart")))


def _among(found: dict[str, object] | None) -> Iterator[tuple[str, str]]:
    """What a prompt makes users wait who decode, and they it."""
    if found is None:
        return
    between = cast(dict[str, float], found["time_between_tokens_s"])
    calm, mean, longest = (between[name] * 1e3 for name in ("without_prompt", "mean", "longest"))
    yield (
        f"among {found['users']} who decode",
        f"first token after {cast(float, found['time_to_first_token_s']) * 1e3:,.1f} ms",
    )
    yield "their time between tokens", f"{calm:,.2f} ms; meanwhile {mean:,.2f} on average, {longest:,.2f} at most"


def _others(found: dict[str, float] | None) -> Iterator[tuple[str, str]]:
    """What goes to the wafers that decode, and how fast they do."""
    if found is None:
        return
    size, late, host = found["handed_over_bytes"] / 1e9, found["after_first_token_s"] * 1e6, found["by_host_s"] * 1e3
    yield (
        "keys and values",
        f"{size:,.2f} GB to other wafers, there {late:,.1f} us after the first token (by hosts {host:,.0f} ms)",
    )
    yield (
        "the busiest wafer sends",
        f"{found['busiest_wafer_bytes_per_s'] / 1e9:,.2f} GB/s of {found['io_bytes_per_s'] / 1e9:,.0f}",
    )
    if "decoding_wafers" in found:
        speed = found["decoding_tokens_per_second"]
        yield "other wafers decode", f"{found['decoding_wafers']} of them, {speed:,.0f} tokens per second, one user"


def _longest(found: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Of this placement, and of as many wafers however a model is placed on them."""
    if "max_context_tokens" in found:
        yield "longest context, as placed", f"{found['max_context_tokens']:,} tokens"
    if "machine_max_context_tokens" in found:
        yield "longest on these wafers", f"{found['machine_max_context_tokens']:,} tokens, placed for them"


def _defects(found: dict[str, object]) -> Iterator[tuple[str, str]]:
    """What is broken on the wafers that it lies on, and what passing it takes."""
    defects = cast(dict[str, object] | None, found.get("defects"))
    if defects is None:
        return
    maps = cast(list[dict[str, int]], defects["maps"])
    dead, cut, moved = (sum(one[name] for one in maps) for name in ("dead_cores", "cut_links", "cores_moved"))
    yield "defects", f"{dead:,} dead cores, {cut:,} cut links: {moved:,} cores moved, {_maps(maps)}"
    yield "cycles around defects", f"{defects['cycles_per_token']:,.0f} of a token's"


def _maps(maps: list[dict[str, int]]) -> str:
    names = [str(one["map"]) for one in maps]
    return ", ".join(names) if len(names) <= 2 else f"{names[0]} to {names[-1]}"


def _together(found: dict[str, object]) -> str:
    """How many sequences the throughput is of: those whose keys and values the program holds."""
    streams = found.get("streams")
    return "tokens per second, all users" if streams is None else f"tokens per second, {streams} in all"


def _say(line: str, *, bold: bool = False) -> None:
    """A line whose names may come out of a file."""
    typer.secho(printable(line), bold=bold)


def _interval(found: dict[str, object]) -> str:
    return f"{found['initiation_interval_cycles']:,.0f} cycles"


def _narrow(found: dict[str, object]) -> Iterator[tuple[str, str]]:
    """What memory that narrow weights leave is used for, and what for else."""
    if "weights_16_bit_share" not in found:
        return
    share, without = found["weights_16_bit_share"], cast(int, found["narrow_weights_max_context_tokens"])
    yield "with 16-bit weights", f"{share:.1%} of them, {found['blocks_16_bit']} of {found['blocks']} blocks of layers"
    yield "weights widened ahead", f"in {found['widened_ahead_bytes_per_core']:,} bytes of each core"
    if without > cast(int, found["max_context_tokens"]):
        yield "longest context without both", f"{without:,} tokens: --no-fill, or --capacity"


def _banks(found: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Of the pairs of vectors that a token reads together."""
    pairs = cast(dict[str, int] | None, found.get("bank_pairs"))
    if pairs is not None:
        total = sum(pairs.values())
        meeting = f"{total - pairs['apart']:,} of {total:,} pairs, {pairs['placed']:,} for their places; uncharged"
        yield "reads that meet in banks", meeting


def _unfit(found: dict[str, object]) -> str:
    if found["mapping"] == "undiced":
        return "no (compiled for a shorter context or a smaller batch)"
    return "no (timed all the same, as published)"


def _shares(title: str, cycles: dict[str, float], most: int) -> None:
    total = sum(cycles.values()) or 1.0
    _say(f"  {title}")
    for name, value in sorted(cycles.items(), key=lambda item: -item[1])[:most]:
        _say(f"    {_DIGEST.sub('', name):26}{value:14,.0f}  {value / total:6.1%}")
