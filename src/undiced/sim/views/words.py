"""Words: what stands above every view: the model, its speed, the bottleneck, what is assumed, and what does not fit."""

from __future__ import annotations

from undiced.core.option import as_command_options
from undiced.sim.atlas.atlas import Atlas

_NAMED = 4  # regions, before they are only counted


def heading(atlas: Atlas) -> str:
    """What is drawn."""
    mapping = "" if atlas.mapping == "undiced" else f", mapping {atlas.mapping}"
    return f"{atlas.model} on {atlas.wafers} x {atlas.machine}{mapping}"


def facts(atlas: Atlas) -> list[str]:
    """How fast, where the time goes, and what stays empty; a sentence or two each."""
    timing = atlas.timing
    shapes = sorted({f"{place.rect.width} x {place.rect.height}" for place in atlas.places})
    count = f"{len(atlas.places)} region{'s' * (len(atlas.places) != 1)}"
    return [
        f"{source(atlas)} {atlas.tokens_per_second:,.0f} tokens/s for one user, {timing.token_cycles:,.0f} cycles per "
        f"{_unit(atlas)}.",
        f"{count} of {', '.join(shapes)} cores, {atlas.covered:.0%} of the used wafers' cores. Bottleneck: "
        f"{slowest(atlas)}, {timing.initiation_interval_cycles:,.0f} cycles, the initiation interval.",
        f"{atlas.idle:.1%} of the core-cycles of these wafers are idle while one {_unit(atlas)} passes.",
        *notes(atlas),
    ]


def _unit(atlas: Atlas) -> str:
    return "prompt" if atlas.prompt else "token"


def source(atlas: Atlas) -> str:
    """Where the figures are from: one sentence that stands with all of them."""
    size = f"a prompt of {atlas.context:,}" if atlas.prompt else f"context {atlas.context:,}"
    return f"Simulated, not measured: {size}, at {atlas.timing.clock_hz / 1e9:.4g} GHz (clock {atlas.clock})."


def figures(atlas: Atlas) -> list[tuple[str, str]]:
    """The figures that come first, and what each is."""
    timing = atlas.timing
    seconds = timing.token_cycles / timing.clock_hz
    lasts = f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} \u00b5s"
    return [
        (f"{atlas.tokens_per_second:,.0f}", "tokens/s, one user"),
        (lasts, f"a {_unit(atlas)}, {timing.token_cycles:,.0f} cycles"),
        (f"{timing.initiation_interval_cycles:,.0f}", f"cycles, slowest: {slowest(atlas)}"),
        (f"{len(atlas.places)}", f"region{'s' * (len(atlas.places) != 1)}, {atlas.covered:.0%} of cores"),
        (f"{atlas.idle:.1%}", "of core-cycles idle"),
    ]


def notes(atlas: Atlas) -> list[str]:
    """What is not as one would expect."""
    found = []
    if atlas.held != atlas.context:
        found.append(f"The program was compiled for {atlas.held:,} positions and is drawn at {atlas.context:,}.")
    if atlas.streams > 1:
        found.append(f"It holds keys and values of {atlas.streams} sequences; a token of one of them is shown.")
    if atlas.wafers_given is not None and atlas.wafers_given > atlas.wafers:
        empty = atlas.wafers_given - atlas.wafers
        found.append(f"{atlas.wafers_given} wafers given, {atlas.wafers} used: {empty} stay empty and are not drawn.")
    return found


def slowest(atlas: Atlas) -> str:
    """The bottleneck by name: one region, or several that take equally long."""
    names = [atlas.places[number].name for number in atlas.bottlenecks]
    more = len(names) - _NAMED
    if more > 1:
        return f"regions {', '.join(names[:_NAMED])} and {more} more"
    return f"region{'s' * (len(names) > 1)} {', '.join(names)}"


def stamp(atlas: Atlas) -> str:
    """That the model does not fit, and what would; nothing if it does."""
    if atlas.unfit is None:
        return ""
    return f"Does not fit: {atlas.unfit.why}. What fits: {as_command_options(atlas.unfit.remedy)}."


def assumptions(atlas: Atlas) -> str:
    """The constants that nothing tells, with their values."""
    told = ", ".join(f"{name} {constant.value:g} {constant.unit}" for name, constant in atlas.assumed)
    return f"Assumed constants of {atlas.machine} that the cycles depend on: {told}." if told else ""
