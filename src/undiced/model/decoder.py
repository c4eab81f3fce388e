"""Assembles the graph of a decoder-only transformer from its configuration: the one place that orders operators.

Every family's graph is made here; a family differs by its configuration and its tensors' names only.

A factor r on what layers add costs nothing: the graph's hidden state is the model's over r. Then sums take no factor,
embeddings are divided by r, and norms of the hidden state, which undo any factor, by their epsilon over r squared.
"""

from __future__ import annotations

from undiced.model.binding import Binder
from undiced.model.config import MlaConfig, ModelConfig, MoeConfig
from undiced.model.draft import Draft
from undiced.model.graph import Graph
from undiced.model.rope import rope_attrs


def assemble(config: ModelConfig, binder: Binder) -> Graph:
    """The verified graph of `config`, its slots bound by `binder`."""
    draft = Draft(config, binder)
    table = draft.matrix("embed", config.vocab, config.dim)
    x = draft.emit("embed", "embedded", ("tokens",), (table,), scale=config.embed_scale / config.residual_scale)
    if config.learned_positions:
        positions = draft.matrix("position_embed", config.context, config.dim)
        x = draft.emit("position_embed", "positioned", (x, "positions"), (positions,))
    for layer in range(config.layers):
        draft.layer = layer
        x = _block(draft, x)
    draft.layer = -1
    x = hidden_norm(draft, "final_norm", x)
    if config.logit_scale != 1.0:
        x = draft.emit("mul_scalar", "lm_head.in", (x,), scalar=float(config.logit_scale))
    head = table if config.tied else draft.matrix("lm_head", config.vocab, config.dim)
    capped = config.logit_softcap > 0
    x = draft.emit("linear", "logits.uncapped" if capped else "logits", (x,), (head,))
    if capped:
        draft.emit("softcap", "logits", (x,), cap=float(config.logit_softcap))
    return draft.graph()


def _block(draft: Draft, x: str) -> str:
    """One layer: x + attention(norm(x)), then the same with the feed-forward; norms where they are configured."""
    config = draft.config
    inner = hidden_norm(draft, "attn.norm", x) if config.pre_norms else x
    beside = hidden_norm(draft, "ffn.norm", x) if config.parallel else ""  # before the sum, which may take x's place
    mixed = _latent_attention(draft, inner, config.mla) if config.mla else _attention(draft, inner)
    if config.post_norms:
        mixed = norm(draft, "attn.post_norm", mixed, config.norm_eps)
    x = draft.emit("add", "attn.sum", (x, mixed))
    inner = beside or (hidden_norm(draft, "ffn.norm", x) if config.pre_norms else x)
    moe = config.moe if config.is_sparse(draft.layer) else None
    fed = _experts(draft, inner, moe) if moe else _dense(draft, inner)
    if config.post_norms:
        fed = norm(draft, "ffn.post_norm", fed, config.norm_eps)
    return draft.emit("add", "ffn.sum", (x, fed))


def hidden_norm(draft: Draft, role: str, x: str) -> str:
    """The configuration's norm of the hidden state, which is the model's over the residual scale."""
    return norm(draft, role, x, draft.config.norm_eps / draft.config.residual_scale**2)


def norm(draft: Draft, role: str, x: str, eps: float) -> str:
    """The configuration's norm over all of `dim`; the value is called after its role."""
    config = draft.config
    weight = draft.vector(role, config.dim)
    if config.norm == "layer":
        bias = draft.vector(f"{role}.bias", config.dim)
        return draft.emit("layernorm", f"{role}.out", (x,), (weight, bias), eps=eps)
    return draft.emit("rmsnorm", f"{role}.out", (x,), (weight,), eps=eps, width=config.dim)


def linear(draft: Draft, role: str, x: str, rows: int, columns: int, bias: bool = False) -> str:
    """A product with the role's matrix; the value is called after its role."""
    weights = [draft.matrix(role, rows, columns)]
    if bias:
        weights.append(draft.vector(f"{role}.bias", rows))
    return draft.emit("linear", f"{role}.out", (x,), tuple(weights))


def _attention(draft: Draft, x: str) -> str:
    config, layer = draft.config, draft.layer
    q_rows, kv_rows = config.heads * config.head_dim, config.kv_heads * config.head_dim
    q = _positioned(draft, "q", linear(draft, "attn.q", x, q_rows, config.dim, config.qkv_bias))
    k = _positioned(draft, "k", linear(draft, "attn.k", x, kv_rows, config.dim, config.qkv_bias))
    v = linear(draft, "attn.v", x, kv_rows, config.dim, config.qkv_bias)
    window = config.window(layer)
    sinks = (draft.vector("attn.sinks", config.heads),) if config.sinks else ()
    mixed = draft.emit(
        "attention",
        "attn.mixed",
        (q, k, v),
        sinks,
        heads=config.heads,
        kv_heads=config.kv_heads,
        head_dim=config.head_dim,
        window=0 if config.chunked else window,
        chunk=window if config.chunked else 0,
        scale=float(config.scale),
        softcap=float(config.attn_softcap),
        layer=layer,
    )
    return linear(draft, "attn.o", mixed, config.dim, q_rows, config.out_bias)


def _positioned(draft: Draft, which: str, x: str) -> str:
    """Norms of heads, rotation, and the growth of queries with the position, each where the configuration has it."""
    config = draft.config
    rotated = config.rope is not None and draft.layer not in config.rope.skip_layers
    if config.qk_norm in ("weight", "whole"):
        heads = config.heads if which == "q" else config.kv_heads
        width = config.head_dim * (heads if config.qk_norm == "whole" else 1)
        x = _head_norm(draft, which, x, width, (draft.vector(f"attn.{which}_norm", width),))
    if rotated:
        x = _rotated(draft, which, x, config.head_dim)
    if config.qk_norm == "l2" and rotated:
        x = _head_norm(draft, which, x, config.head_dim, ())
    if which == "q" and config.temperature_floor and not rotated:
        floor, scale = config.temperature_floor, float(config.temperature_scale)
        x = draft.emit("position_scale", "attn.q_grown", (x, "positions"), floor=floor, scale=scale)
    return x


def _head_norm(draft: Draft, which: str, x: str, width: int, weights: tuple[str, ...]) -> str:
    config = draft.config
    return draft.emit("rmsnorm", f"attn.{which}_normed", (x,), weights, eps=config.norm_eps, width=width)


def _rotated(draft: Draft, which: str, x: str, head_dim: int, offset: int = 0) -> str:
    rope = draft.config.rope
    assert rope is not None, "the caller checked"
    attrs = rope_attrs(rope, head_dim, draft.config.window(draft.layer) > 0)
    factors = _factors(draft) if rope.factors and attrs["scaling"] == rope.scaling else ()
    return draft.emit("rope", f"attn.{which}_rotated", (x, "positions"), factors, **{**attrs, "offset": offset})


def _factors(draft: Draft) -> tuple[str, ...]:
    """The model's one vector of frequency divisors, whatever the layer."""
    assert draft.config.rope is not None, "the caller checked"
    layer, draft.layer = draft.layer, -1
    name = draft.vector("rope_factors", draft.config.rope.dims // 2)
    draft.layer = layer
    return (name,)


def _latent_attention(draft: Draft, x: str, mla: MlaConfig) -> str:
    """Queries by way of a latent (or directly); keys and values stay a latent and one rotated key in the cache."""
    config = draft.config
    head = mla.nope_dim + mla.rope_dim
    inner, columns = x, config.dim
    if mla.q_rank:
        inner = linear(draft, "attn.q_a", x, mla.q_rank, config.dim, config.qkv_bias)
        inner = _latent_norm(draft, "attn.q_a_norm", inner, mla.q_rank)
        columns = mla.q_rank
    q = linear(draft, "attn.q_b" if mla.q_rank else "attn.q", inner, config.heads * head, columns)
    latent = linear(draft, "attn.kv_a", x, mla.kv_rank, config.dim, config.qkv_bias)
    latent = _latent_norm(draft, "attn.kv_a_norm", latent, mla.kv_rank)
    key = linear(draft, "attn.k_rope", x, mla.rope_dim, config.dim, config.qkv_bias)
    q, key = _rotated(draft, "q", q, head, mla.nope_dim), _rotated(draft, "k", key, mla.rope_dim)
    mixed = draft.emit(
        "mla_attention",
        "attn.mixed",
        (q, latent, key),
        (
            draft.matrix("attn.k_b", config.heads * mla.kv_rank, mla.nope_dim, config.heads),
            draft.matrix("attn.v_b", config.heads * mla.v_dim, mla.kv_rank, config.heads),
        ),
        heads=config.heads,
        nope_dim=mla.nope_dim,
        rope_dim=mla.rope_dim,
        v_dim=mla.v_dim,
        kv_rank=mla.kv_rank,
        scale=float(config.scale),
        layer=draft.layer,
    )
    return linear(draft, "attn.o", mixed, config.dim, config.heads * mla.v_dim, config.out_bias)


def _latent_norm(draft: Draft, role: str, x: str, width: int) -> str:
    return draft.emit(
        "rmsnorm", f"{role}.out", (x,), (draft.vector(role, width),), eps=draft.config.norm_eps, width=width
    )


def _dense(draft: Draft, x: str) -> str:
    config = draft.config
    if config.gated:
        return _gated(draft, "ffn", x, config.ffn)
    up = linear(draft, "ffn.up", x, config.ffn, config.dim, config.mlp_bias)
    active = draft.emit("act", "ffn.active", (up,), activation=config.activation)
    return linear(draft, "ffn.down", active, config.dim, config.ffn, config.mlp_bias)


def _gated(draft: Draft, role: str, x: str, ffn: int) -> str:
    config = draft.config
    gate = linear(draft, f"{role}.gate", x, ffn, config.dim, config.mlp_bias)
    up = linear(draft, f"{role}.up", x, ffn, config.dim, config.mlp_bias)
    active = draft.emit("glu", f"{role}.active", (gate, up), activation=config.activation)
    return linear(draft, f"{role}.down", active, config.dim, ffn, config.mlp_bias)


def _experts(draft: Draft, x: str, moe: MoeConfig) -> str:
    config, count = draft.config, moe.experts
    routers = [draft.matrix("moe.router", count, config.dim)]
    routers += [draft.vector("moe.router.bias", count)] if moe.router_bias else []
    routers += [draft.vector("moe.selection_bias", count)] if moe.selection_bias else []
    routes = draft.emit(
        "moe_route",
        "moe.routes",
        (x,),
        tuple(routers),
        experts=count,
        top_k=moe.top_k,
        scoring=moe.scoring,
        normalize=int(moe.normalize),
        scaling=float(moe.scaling),
        groups=moe.groups,
        top_groups=moe.top_groups,
        group_best=moe.group_best,
        router_bias=int(moe.router_bias),
        selection_bias=int(moe.selection_bias),
    )
    sizes = {"gate": (moe.ffn, config.dim), "up": (moe.ffn, config.dim), "down": (config.dim, moe.ffn)}
    stacks = [draft.matrix(f"moe.{role}", count * rows, columns, count) for role, (rows, columns) in sizes.items()]
    if moe.expert_bias:
        stacks += [draft.vector(f"moe.{role}.bias", count * rows, count) for role, (rows, _) in sizes.items()]
    mixed = draft.emit(
        "moe_ffn",
        "moe.mixed",
        (x, routes),
        tuple(stacks),
        experts=count,
        top_k=moe.top_k,
        activation=config.activation,
        limit=float(moe.limit),
        scale_input=int(moe.scale_input),
    )
    if not moe.shared_ffn:
        return mixed
    return draft.emit("add", "moe.sum", (mixed, _gated(draft, "moe.shared", x, moe.shared_ffn)))
