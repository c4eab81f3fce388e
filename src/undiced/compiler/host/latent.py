"""Latent attention on the host, absorbed: the cache keeps latents, which all heads share, and heads meet them there.

Expanding what is cached would take fewer operations a query, but anew in every step. With the at most 256 tokens of a
step that gains little (docs/LOG.md has the figures), and a decode step would read several times as much.
"""

from __future__ import annotations

from msgspec import structs

from undiced.compiler.host.draft import Draft, Spot
from undiced.compiler.host.rules import ELSEWHERE, HEAD_GRANULE, emit, place, quantized, weight
from undiced.core.errors import UnsupportedError
from undiced.core.formats import FORMATS
from undiced.core.option import option
from undiced.model import Node
from undiced.program import KvLayer
from undiced.program.host.instr import SHARD_GRANULE
from undiced.program.host.latent_instruction import HEAD_TILE, HeadMatmul, LatentAttention, LatentStore


def latent_store(draft: Draft, node: Node) -> None:
    """The latent joins the cache."""
    rope, v_dim, rank = (node.integer(x) for x in ("rope_dim", "v_dim", "kv_rank"))
    _check(rank, rope, v_dim)
    _check_type(draft, rank + rope)
    index = len(draft.kv)
    draft.kv[node.integer("layer")] = KvLayer(1, rank + rope, latent=True)
    emit(draft, node, LatentStore(a=draft.spots[node.ins[1]].buffer, kv_layer=index, columns=rank + rope))


def mla_attention(draft: Draft, node: Node) -> None:
    """Queries pass to the latents' columns, and what is mixed of latents passes to values."""
    heads, nope, rope, v_dim, rank = (node.integer(x) for x in ("heads", "nope_dim", "rope_dim", "v_dim", "kv_rank"))
    q = draft.spots[node.ins[0]]
    rows = draft.virtual[q.buffer].rows
    absorbed = Spot(draft.new_buffer("absorbed", heads * rank, rows), 0, heads * rank)
    _by_heads(draft, node, 0, q, absorbed, nope + rope)
    mixed = Spot(draft.new_buffer("mixed.latents", heads * rank, rows), 0, heads * rank)
    attention = LatentAttention(
        dst=mixed.buffer,
        q=absorbed.buffer,
        turned=q.buffer,
        kv_layer=draft.kv_index(node),
        heads=heads,
        rank=rank,
        nope=nope,
        rope=rope,
        scale=node.number("scale"),
    )
    draft.instrs.append(structs.replace(attention, layer=node.layer))
    _by_heads(draft, node, 1, mixed, place(draft, node, heads * v_dim, q), rank)
    draft.instrs[-1] = structs.replace(draft.instrs[-1], note=node.out)


def _check(rank: int, rope: int, v_dim: int) -> None:
    for what, size, granule in (
        ("latents", rank, HEAD_TILE),
        ("values", v_dim, HEAD_TILE),
        ("latents and rotated keys together", rank + rope, HEAD_GRANULE),
    ):
        if size % granule:
            raise UnsupportedError(
                f"The host engine needs {what} whose columns are multiples of {granule}, not {size}.",
                remedy=ELSEWHERE,
            )


def _check_type(draft: Draft, columns: int) -> None:
    if draft.kv_type != "f16":
        raise UnsupportedError(
            f"{draft.graph.config.name} caches latents, {columns} numbers of a position for all heads, and the host "
            f"engine keeps those in f16 alone, not in {draft.kv_type}.",
            remedy=f"Use {option('kv_type', 'f16')}, which is the default.",
        )


def _by_heads(draft: Draft, node: Node, index: int, source: Spot, target: Spot, stride: int) -> None:
    """Each head's columns of `source`, `stride` from one head to the next, times its matrix of a slot."""
    slot, heads = draft.graph.slot(node.weights[index]), node.integer("heads")
    coded = FORMATS[slot.format].quantized
    if coded and (stride % SHARD_GRANULE or slot.columns % SHARD_GRANULE):
        raise UnsupportedError(
            f"The host engine needs heads of {slot.name}, which is quantized, whose columns are multiples of "
            f"{SHARD_GRANULE}, not {slot.columns} of {stride}.",
            remedy=ELSEWHERE,
        )
    product = HeadMatmul(
        dst=target.buffer,
        a=quantized(draft, node, source) if coded else source.buffer,
        weight=weight(draft, node, index),
        heads=heads,
        rows=slot.rows // heads,
        columns=slot.columns,
        stride=stride,
    )
    draft.instrs.append(structs.replace(product, layer=node.layer))
