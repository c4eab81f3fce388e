"""shard: turns each graph node into instructions whose partition over cores is fixed by the instruction table.

Values that one instruction wants side by side (queries, keys and values; gate and up) are given one buffer here, sums
into the residual stream become accumulating products, and what no cache needs is computed for sampled rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from undiced.compiler.host.draft import Draft, Spot
from undiced.compiler.host.experts import moe_ffn, moe_route
from undiced.compiler.host.latent import latent_store, mla_attention
from undiced.compiler.host.rules import ELSEWHERE, HEAD_GRANULE, activation_of, emit, place, quantized, weight
from undiced.compiler.host.sampled import CACHED, Samples, values_of_tokens
from undiced.core.errors import UnsupportedError
from undiced.core.formats import FORMATS
from undiced.model import Node
from undiced.model.rope import frequencies
from undiced.program import KvLayer
from undiced.program.host.field import RopeStyle
from undiced.program.host.instruction import (
    Activate,
    Add,
    Attention,
    Embed,
    Glu,
    KvStore,
    Layernorm,
    Matmul,
    PositionScale,
    Rmsnorm,
    Rope,
    Sample,
    Scale,
    Softcap,
)
from undiced.program.host.program import Rows

_ROTATIONS = ("rope", "rmsnorm", "position_scale")  # what attention's inputs may go through after their product
_TOGETHER: dict[str, tuple[tuple[str, int], ...]] = {  # a buffer for so many inputs of an operator
    "attention": (("qkv", 3),),
    "mla_attention": (("q", 1), ("latent", 2)),
    "glu": (("gate_up", 2),),
}
_ROPE_STYLES = {"half": RopeStyle.HALF, "interleaved": RopeStyle.INTERLEAVED}


def shard(draft: Draft) -> None:
    """Fills `draft.instrs` over virtual buffers."""
    _check(draft)
    whole = values_of_tokens(draft.graph)
    of_tokens = [node for node in draft.graph.nodes if node.out in whole]
    of_samples = [node for node in draft.graph.nodes if node.out not in whole]
    group_neighbors(draft, whole)
    sums = accumulating_sums(draft, [*of_tokens, *of_samples])
    for node in of_tokens:
        if node.op in CACHED:
            _STORES[node.op](draft, node)
        _lower(draft, node, sums)
    _lower_samples(draft, of_samples, whole, sums)
    logits = draft.spots[draft.graph.output]
    draft.instrs.append(Sample(a=logits.buffer, vocab=draft.graph.config.vocab, note=draft.graph.output))


def _check(draft: Draft) -> None:
    for node in draft.graph.nodes:
        if node.op not in _RULES:
            raise UnsupportedError(
                f"The host engine can't run {node.op!r} of {draft.graph.config.name} yet.",
                remedy=ELSEWHERE,
            )


def _lower_samples(draft: Draft, nodes: Sequence[Node], whole: Container[str], sums: Sums) -> None:
    """Nodes of which only sampled rows are wanted.

    What products add to is copied first, apart from what is only read: each core may keep copies of that to itself.
    """
    samples, sources = Samples(draft, _NORMS), dict[str, Spot]()
    for node in nodes:
        if node.op in CACHED:
            _STORES[node.op](draft, node)
        target = sums.targets.get(node.out)
        if target is not None and target in whole:
            sources[target] = samples.copy(target, node.layer)
    for node in nodes:
        for name in node.ins[:1] if node.op in CACHED else node.ins:
            samples.read(name, node.layer)
        target = sums.targets.get(node.out)
        if target in sources:
            draft.spots[target] = sources[target]
        _lower(draft, node, sums)


def _lower(draft: Draft, node: Node, sums: Sums) -> None:
    """A node's instructions, over values that lie where it wants them."""
    if node.out in sums.dropped:
        draft.spots[node.out] = draft.spots[node.ins[sums.dropped[node.out]]]
    elif node.out in sums.targets:
        _SUMMED[node.op](draft, node, draft.spots[sums.targets[node.out]])
    else:
        _RULES[node.op](draft, node)


class Sums:
    """Residual sums that a product can accumulate into.

    Attributes:
        targets: product's value -> the value whose buffer it is added to.
        dropped: add's value -> index of the input whose place it takes.
    """

    def __init__(self) -> None:
        self.targets: dict[str, str] = {}
        self.dropped: dict[str, int] = {}


def accumulating_sums(draft: Draft, nodes: Sequence[Node]) -> Sums:
    """Finds `add(x, product)` where nothing else reads the product's value and nothing reads x afterwards.

    nodes: the graph's, in the order in which they are computed.
    """
    sums, uses, made = Sums(), draft.uses(), draft.producer()
    order = {node.out: i for i, node in enumerate(nodes)}
    last_use = {name: order[node.out] for node in nodes for name in node.ins}
    for node in nodes:
        if node.op != "add":
            continue
        for kept, added in ((0, 1), (1, 0)):
            x, y = node.ins[kept], node.ins[added]
            producer = made.get(y)
            free = producer is not None and producer.op in _SUMMED and uses[y] == 1
            if free and last_use[x] == order[node.out] and order.get(x, -1) < order[y]:
                sums.targets[y], sums.dropped[node.out] = x, kept
                break
    return sums


def group_neighbors(draft: Draft, whole: Container[str]) -> None:
    """Gives products that are wanted side by side one buffer: q, k and v of each attention, gate and up of a GLU.

    Queries of sampled rows are alone: keys and values are of every token.
    """
    made, uses = draft.producer(), draft.uses()
    for node in draft.graph.nodes:
        chains = [_chain(name, made, uses) for name in node.ins] if node.op in _TOGETHER else []
        for buffer, count in _TOGETHER.get(node.op, ()):
            for rows in ("tokens", "samples"):
                alike = [chain for chain in chains[:count] if (chain[0] in whole) == (rows == "tokens")]
                if alike:
                    _side_by_side(draft, buffer, alike, made, rows)
            chains = chains[count:]


def _side_by_side(draft: Draft, buffer: str, chains: list[list[str]], made: dict[str, Node], rows: Rows) -> None:
    """What is rotated or normalized goes to the same columns of a second buffer: only row-wise ones write it."""
    widths = [_width(draft, made[chain[-1]]) for chain in chains]
    products = draft.new_buffer(buffer, sum(widths), rows)
    rotated = draft.new_buffer("rotated", sum(widths), rows) if any(len(c) > 1 for c in chains) else products
    start = 0
    for chain, width in zip(chains, widths, strict=True):
        for name in chain:
            draft.spots[name] = Spot(products if name == chain[-1] else rotated, start, width)
        start += width


def _chain(name: str, made: dict[str, Node], uses: dict[str, int]) -> list[str]:
    """A value and what it is rotated from, back to the linear."""
    chain = [name]
    while made[chain[-1]].op in _ROTATIONS and uses[made[chain[-1]].ins[0]] == 1:
        chain.append(made[chain[-1]].ins[0])
    if made[chain[-1]].op != "linear" or any(uses[n] != 1 for n in chain):
        raise UnsupportedError(
            f"The host engine can't place {name!r}: it is made by {made[chain[-1]].op!r}.", remedy=ELSEWHERE
        )
    return chain


def _width(draft: Draft, node: Node) -> int:
    return draft.graph.slot(node.weights[0]).rows


def _embed(draft: Draft, node: Node) -> None:
    table, width = weight(draft, node, 0), draft.graph.slot(node.weights[0]).columns
    spot = place(draft, node, width)
    emit(draft, node, Embed(dst=spot.buffer, table=table, columns=width, scale=node.number("scale")))


def _position_embed(draft: Draft, node: Node) -> None:
    spot = draft.spots[node.out] = draft.spots[node.ins[0]]
    table, width = weight(draft, node, 0), draft.graph.slot(node.weights[0]).columns
    embed = Embed(dst=spot.buffer, table=table, columns=width, scale=1.0, accumulate=True, positions=True)
    emit(draft, node, embed)


def _rmsnorm(draft: Draft, node: Node) -> None:
    source = draft.spots[node.ins[0]]
    spot = place(draft, node, source.width, source)
    if spot.start != source.start:
        raise UnsupportedError(f"The host engine can't move {node.ins[0]!r} while it normalizes.", remedy=ELSEWHERE)
    norm = Rmsnorm(
        dst=spot.buffer,
        a=source.buffer,
        weight=weight(draft, node, 0),
        start=spot.start,
        columns=spot.width,
        width=node.integer("width"),
        eps=node.number("eps"),
    )
    emit(draft, node, norm)


def _layernorm(draft: Draft, node: Node) -> None:
    source = draft.spots[node.ins[0]]
    spot = place(draft, node, source.width, source)
    norm = Layernorm(
        dst=spot.buffer,
        a=source.buffer,
        weight=weight(draft, node, 0),
        bias=weight(draft, node, 1),
        columns=spot.width,
        eps=node.number("eps"),
    )
    emit(draft, node, norm)


def _linear(draft: Draft, node: Node, target: Spot | None = None) -> None:
    """A product into a place of its own, or added to what `target` holds."""
    slot = draft.graph.slot(node.weights[0])
    source = draft.spots[node.ins[0]]
    spot = target or place(draft, node, slot.rows, source)
    draft.spots[node.out] = spot
    a = quantized(draft, node, source) if FORMATS[slot.format].quantized else source.buffer
    product = Matmul(
        dst=spot.buffer,
        a=a,
        weight=weight(draft, node, 0),
        bias=weight(draft, node, 1),
        start=spot.start,
        rows=slot.rows,
        columns=slot.columns,
        accumulate=target is not None,
    )
    emit(draft, node, product)


def _rope(draft: Draft, node: Node) -> None:
    spot, source = draft.spots[node.out], draft.spots[node.ins[0]]
    attrs = node.attrs
    plain = attrs if not node.weights else {**attrs, "scaling": "none"}
    if node.weights and attrs["scaling"] != "none":
        raise UnsupportedError(
            "The host engine can't combine frequency factors with another RoPE scaling.",
            remedy="Convert the model anew: a file has rope_freqs.weight or rope.scaling.type, not both.",
        )
    turns = frequencies(plain, draft.bounds.context)
    if turns not in draft.constants:
        draft.constants.append(turns)
    head_dim = node.integer("head_dim")
    rope = Rope(
        dst=spot.buffer,
        a=source.buffer,
        factors=weight(draft, node, 0),
        start=spot.start,
        heads=spot.width // head_dim,
        head_dim=head_dim,
        offset=node.integer("offset"),
        dims=node.integer("dims"),
        style=_ROPE_STYLES[node.text("style")],
        constant=draft.constants.index(turns),
        magnitude=node.number("attention_factor"),
    )
    emit(draft, node, rope)


def _kv_store(draft: Draft, node: Node) -> None:
    layer, kv_heads, head_dim = (node.integer(x) for x in ("layer", "kv_heads", "head_dim"))
    if head_dim % HEAD_GRANULE:
        raise UnsupportedError(
            f"The host engine needs head dimensions that are multiples of {HEAD_GRANULE}, not {head_dim}.",
            remedy=ELSEWHERE,
        )
    k, v = (draft.spots[name] for name in node.ins[1:])
    index = len(draft.kv)
    reach = node.integer("window") or node.integer("chunk")
    draft.kv[layer] = KvLayer(kv_heads, head_dim, reach, type=draft.kv_type)
    store = KvStore(
        k=k.buffer,
        v=v.buffer,
        kv_layer=index,
        k_start=k.start,
        v_start=v.start,
        kv_heads=kv_heads,
        head_dim=head_dim,
    )
    emit(draft, node, store)


def _attention(draft: Draft, node: Node) -> None:
    q, head_dim = draft.spots[node.ins[0]], node.integer("head_dim")
    heads = node.integer("heads")
    spot = place(draft, node, heads * head_dim, q)
    attention = Attention(
        dst=spot.buffer,
        q=q.buffer,
        sinks=weight(draft, node, 0),
        kv_layer=draft.kv_index(node),
        start=q.start,
        heads=heads,
        kv_heads=node.integer("kv_heads"),
        head_dim=head_dim,
        window=node.integer("window"),
        chunk=node.integer("chunk"),
        scale=node.number("scale"),
        softcap=node.number("softcap"),
    )
    emit(draft, node, attention)


def _position_scale(draft: Draft, node: Node) -> None:
    spot, source = draft.spots[node.out], draft.spots[node.ins[0]]
    grown = PositionScale(
        dst=spot.buffer,
        a=source.buffer,
        start=spot.start,
        columns=spot.width,
        floor=node.integer("floor"),
        scale=node.number("scale"),
    )
    emit(draft, node, grown)


def _glu(draft: Draft, node: Node) -> None:
    gate, up = (draft.spots[name] for name in node.ins)
    spot = place(draft, node, gate.width, gate)
    glu = Glu(
        dst=spot.buffer,
        a=gate.buffer,
        gate=gate.start,
        up=up.start,
        columns=gate.width,
        activation=activation_of(node),
    )
    emit(draft, node, glu)


def _act(draft: Draft, node: Node) -> None:
    source = draft.spots[node.ins[0]]
    spot = place(draft, node, source.width, source)
    activation = activation_of(node)
    emit(draft, node, Activate(dst=spot.buffer, a=source.buffer, columns=source.width, activation=activation))


def _add(draft: Draft, node: Node) -> None:
    a, b = (draft.spots[name] for name in node.ins)
    spot = place(draft, node, a.width, a)
    emit(draft, node, Add(dst=spot.buffer, a=a.buffer, b=b.buffer, columns=a.width))


def _softcap(draft: Draft, node: Node) -> None:
    source = draft.spots[node.ins[0]]
    spot = place(draft, node, source.width, source)
    emit(draft, node, Softcap(dst=spot.buffer, a=source.buffer, columns=source.width, cap=node.number("cap")))


def _mul_scalar(draft: Draft, node: Node) -> None:
    source = draft.spots[node.ins[0]]
    spot = place(draft, node, source.width, source)
    emit(draft, node, Scale(dst=spot.buffer, a=source.buffer, columns=source.width, factor=node.number("scalar")))


_RULES: dict[str, Callable[[Draft, Node], None]] = {
    "embed": _embed,
    "position_embed": _position_embed,
    "rmsnorm": _rmsnorm,
    "layernorm": _layernorm,
    "linear": _linear,
    "rope": _rope,
    "position_scale": _position_scale,
    "attention": _attention,
    "mla_attention": mla_attention,
    "glu": _glu,
    "act": _act,
    "add": _add,
    "softcap": _softcap,
    "mul_scalar": _mul_scalar,
    "moe_route": moe_route,
    "moe_ffn": moe_ffn,
}
_NORMS = {"rmsnorm": _rmsnorm, "layernorm": _layernorm}
_STORES = {"attention": _kv_store, "mla_attention": latent_store}
_SUMMED: dict[str, Callable[[Draft, Node, Spot | None], None]] = {"linear": _linear, "moe_ffn": moe_ffn}
