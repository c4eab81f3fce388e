"""Rotations as published programs make them: six operations over the pairs of a value, by a table of both factors."""

from __future__ import annotations

from undiced.compiler.wafer.lower.lowering import layered
from undiced.compiler.wafer.lower.writer import Writer
from undiced.model.node import Node
from undiced.model.rope import rope_frequencies
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.value import Rotation

Halves = tuple[str, str]  # first and second elements of all pairs; or cosines and sines


def table_of(node: Node, context: int) -> Rotation:
    """A cosine and a sine for each pair of columns, 1 and 0 for those that are not turned."""
    turned = node.integer("dims") // 2
    pairs = (node.integer("head_dim") - node.integer("offset")) // 2
    frequencies = tuple(map(float, rope_frequencies(node.attrs, context))) + (0.0,) * (pairs - turned)
    divisors = layered(node.weights[0])[0] if node.weights else ""
    return Rotation(frequencies, node.number("attention_factor"), "both", turned, divisors)


def rotate(w: Writer, x: Halves, factors: Halves, result: Halves) -> None:
    """First elements by cosines less second ones by sines; first ones by sines and second ones by cosines."""
    cosine, sine = factors
    steps: tuple[tuple[isa.Elementwise, Halves], ...] = (("subtract", (cosine, sine)), ("add", (sine, cosine)))
    for made, (operation, by) in zip(result, steps, strict=True):
        parts = []
        for half, factor in zip(x, by, strict=True):
            value = w.values[half]
            parts.append(w.value(f"{half}.turned", value.dims, value.rows, value.columns))
            w.emit(isa.Combine(w.node, "multiply", parts[-1], half, factor))
        w.emit(isa.Combine(w.node, operation, made, parts[0], parts[1]))
