"""`undiced diff`: two executors of one model on the same tokens, and where the first value parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from undiced.cli.asking import Mapping
from undiced.cli.options import DEFAULT_MODEL, HUB, Json
from undiced.core.errors import InvalidRequestError
from undiced.core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.checkpoint import Checkpoint
    from undiced.cli.parting import Parting
    from undiced.cli.traces import Trace
    from undiced.model import Graph

Executor = Literal["graph", "host", "wafer", "wafer-numbers"]
EXECUTORS: dict[Executor, str] = {
    "graph": "the graph interpreter, in float32",
    "host": "the host's thread team",
    "wafer": "a mesh of cores, in float32",
    "wafer-numbers": "a mesh of cores, every result and hop rounded to its element type",
}
_PROMPT = "The capital of France is Paris. The capital of Japan is"


def diff(
    first: Annotated[
        Executor,
        typer.Argument(metavar="A", help="graph interprets the model, host computes on this machine, wafer on a mesh."),
    ],
    second: Annotated[Executor, typer.Argument(metavar="B", help="Another of them.")],
    model: Annotated[
        str, typer.Option(help=f"A catalog name, a GGUF file, a Hugging Face folder, or {HUB}.")
    ] = DEFAULT_MODEL,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="The text whose values are compared.")] = None,
    most: Annotated[int, typer.Option("--tokens", "-n", min=1, help="Tokens of the text, at most.")] = 16,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest error, over the value's root mean square, that is no parting.")
    ] = 0.01,
    machine: Annotated[str, typer.Option(help="The mesh, as in toy-24x24.")] = "toy-24x24",
    sum_bits: Annotated[int, typer.Option(help="16 or 32 bits a partial sum of the mesh.")] = 16,
    mapping: Mapping = "undiced",
    as_json: Json = False,
) -> None:
    """Run two executors of one model on the same tokens. Says at which layer, operator and value they part."""
    from undiced.checkpoint import open_checkpoint
    from undiced.cli.parting import parting
    from undiced.cli.terminal import emit, loading
    from undiced.model import build

    with loading(model, quiet=as_json) as bar:
        checkpoint = open_checkpoint(model, progress=bar)
    graph = build(checkpoint)
    tokens = tokens_of(checkpoint, graph, prompt, most)
    if not as_json:
        for name in (first, second):
            typer.secho(f"{name}: {EXECUTORS[name]}", fg="bright_black", err=True)
    a, b = (trace(name, checkpoint, graph, tokens, machine, sum_bits, mapping) for name in (first, second))
    found = parting(graph.nodes, a, b, tolerance)
    if as_json:
        emit({"model": checkpoint.name, "a": first, "b": second, "tokens": len(tokens), **found.summary()})
        return
    for line in lines(found, first, second):
        typer.echo(printable(line))


def tokens_of(checkpoint: Checkpoint, graph: Graph, prompt: str | None, most: int) -> list[int]:
    """The first tokens of a text; of a model without a tokenizer and a text, its first ids.

    Raises:
        InvalidRequestError: the text has none.
    """
    from undiced.core.errors import CheckpointError
    from undiced.text import load_tokenizer

    most = min(most, graph.config.context)
    try:
        tokenizer = load_tokenizer(checkpoint)
    except CheckpointError:
        if prompt is not None:
            raise
        return [number * 7919 % graph.config.vocab for number in range(1, most + 1)]
    ids = tokenizer.begun(tokenizer.encode(_PROMPT if prompt is None else prompt[: 64 * most], special=True))[:most]
    if not ids:
        raise InvalidRequestError("The prompt has no tokens.", remedy="Give some text.")
    return ids


def trace(
    name: str,
    checkpoint: Checkpoint,
    graph: Graph,
    tokens: Sequence[int],
    machine: str,
    sum_bits: int,
    mapping: Mapping = "undiced",
) -> Trace:
    """The values of one executor by its name."""
    from undiced.cli import traces
    from undiced.cli.run import Layout
    from undiced.machine import find_machine
    from undiced.program import Bounds

    if name == "graph":
        return traces.trace_graph(graph, checkpoint, tokens)
    if name == "host":
        return traces.trace_host(checkpoint, graph, tokens)
    layout, bounds = Layout(sum_bits=sum_bits, mapping=mapping), Bounds(1, max(len(tokens), 2))
    meshed = layout.meshed(checkpoint, graph, find_machine(machine), bounds)
    return traces.trace_mesh(meshed, "wafer" if name == "wafer-numbers" else "fp32", tokens)


def lines(found: Parting, a: str, b: str) -> list[str]:
    """The finding, for people."""
    out = [f"{'layer':>6}  {'largest relative error':>22}  {'at':<10} value"]
    for worst in found.by_layer():
        layer = "ends" if worst.layer < 0 else str(worst.layer)
        out.append(f"{layer:>6}  {worst.relative:>22.2e}  {worst.op:<10} {worst.value}")
    out.append(
        f"{len(found.values)} values compared; {len(found.missing)} that one of the two does not make by itself."
    )
    first = found.first
    if first is None:
        return [*out, f"No value is further apart than {found.tolerance:g} of its root mean square."]
    where = f"layer {first.layer}, " if first.layer >= 0 else ""
    both = f"{a} {first.a:.6g}, {b} {first.b:.6g}"
    return [
        *out,
        f"They part at {where}{first.op}, {first.value}, at token {first.token}, column {first.column}:",
        f"{first.error:.3g} apart, {first.relative:.2e} of its root mean square ({both}).",
    ]
