"""Mixtures of experts on the host: the router's product and choice, and the products with the chosen experts."""

from __future__ import annotations

from msgspec import structs

from undiced.compiler.host.draft import Draft, Spot
from undiced.compiler.host.rules import ACTIVATIONS, ELSEWHERE, activation_of, emit, place, quantized, weight
from undiced.core.errors import UnsupportedError
from undiced.core.formats import FORMATS
from undiced.model import Node
from undiced.program.host.expert_instruction import ExpertGlu, ExpertSum, Route
from undiced.program.host.field import NONE, Activation, Scoring
from undiced.program.host.instr import SHARD_GRANULE
from undiced.program.host.instruction import Matmul
from undiced.program.host.program import Form

_EXPERT_ACTIVATIONS = {**ACTIVATIONS, "swiglu_oss": Activation.SWIGLU_OSS}
_SCORINGS = {"softmax": Scoring.SOFTMAX, "sigmoid": Scoring.SIGMOID}


def moe_route(draft: Draft, node: Node) -> None:
    """The router's product, and the choice; the value is what experts need: weights and numbers of the chosen ones."""
    router = draft.graph.slot(node.weights[0])
    source = draft.spots[node.ins[0]]
    rows = draft.virtual[source.buffer].rows
    logits = draft.new_buffer("moe.logits", router.rows, rows)
    rest = [draft.slot(name) for name in node.weights[1:]]
    product = Matmul(
        dst=logits,
        a=quantized(draft, node, source) if FORMATS[router.format].quantized else source.buffer,
        weight=weight(draft, node, 0),
        bias=rest.pop(0) if node.integer("router_bias") else NONE,
        start=0,
        rows=router.rows,
        columns=router.columns,
    )
    emit(draft, node, product)
    top_k = node.integer("top_k")
    spot = draft.spots[node.out] = Spot(draft.new_buffer("moe.chosen", 2 * top_k, rows), 0, 2 * top_k)
    route = Route(
        dst=spot.buffer,
        a=logits,
        bias=rest[0] if rest else NONE,
        experts=node.integer("experts"),
        top_k=top_k,
        groups=node.integer("groups"),
        top_groups=node.integer("top_groups"),
        group_best=node.integer("group_best"),
        scoring=_SCORINGS[node.text("scoring")],
        scaling=node.number("scaling"),
        normalize=bool(node.integer("normalize")),
    )
    emit(draft, node, route)


def moe_ffn(draft: Draft, node: Node, target: Spot | None = None) -> None:
    """All chosen experts of a token, into a place of its own, or added to what `target` holds."""
    source, routes = (draft.spots[name] for name in node.ins)
    gate, up, down = (draft.graph.slot(name) for name in node.weights[:3])
    experts, top_k, weighs_input = (node.integer(name) for name in ("experts", "top_k", "scale_input"))
    ffn, dim = gate.rows // experts, down.rows // experts
    if ffn % SHARD_GRANULE or dim % SHARD_GRANULE:
        raise UnsupportedError(
            f"The host engine needs experts whose sizes are multiples of {SHARD_GRANULE}, not {ffn} x {dim}.",
            remedy=ELSEWHERE,
        )
    forms = {FORMATS[slot.format].quantized for slot in (gate, up)}
    if len(forms) > 1:
        raise UnsupportedError(
            f"Experts of {node.out} mix quantized and plain weights.", remedy="Use one of the usual quantizations."
        )
    hidden_form: Form = "int8" if FORMATS[down.format].quantized else "f32"
    hidden = draft.new_buffer("moe.hidden", top_k * ffn, draft.virtual[source.buffer].rows, hidden_form)
    spot = draft.spots[node.out] = target or place(draft, node, dim, source)
    glu = ExpertGlu(
        dst=hidden,
        a=quantized(draft, node, source) if forms.pop() else source.buffer,
        routes=routes.buffer,
        gate=weight(draft, node, 0),
        up=weight(draft, node, 1),
        gate_bias=weight(draft, node, 3),
        up_bias=weight(draft, node, 4),
        rows=ffn,
        columns=dim,
        experts=experts,
        top_k=top_k,
        activation=activation_of(node, _EXPERT_ACTIVATIONS),
        limit=node.number("limit"),
        weigh=bool(weighs_input),
    )
    total = ExpertSum(
        dst=spot.buffer,
        a=hidden,
        routes=routes.buffer,
        down=weight(draft, node, 2),
        bias=weight(draft, node, 5),
        rows=dim,
        columns=ffn,
        experts=experts,
        top_k=top_k,
        weigh=not weighs_input,
        accumulate=target is not None,
    )
    draft.instrs.append(structs.replace(glu, layer=node.layer, note=""))
    emit(draft, node, total)
