"""What a decoder-only transformer is, in numbers: one frozen configuration for every family.

Knows no tensor names, no files and no hardware. Every number is bounded and checked when the object is made, so that
whoever holds a `ModelConfig` may trust it. Presets, GGUF metadata and config.json all become this one type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undiced.core.errors import CheckpointError

RopeStyle = Literal["half", "interleaved"]
RopeScaling = Literal["none", "linear", "llama3", "yarn", "longrope"]
Activation = Literal["silu", "gelu", "gelu_tanh", "swiglu_oss"]

MAX_DIM = 1 << 20  # assumed: far above any published width, low enough that products stay below 2^63
MAX_LAYERS = 512  # assumed: four times the deepest published; compiling takes some milliseconds a layer
MAX_VOCAB = 1 << 24
MAX_CONTEXT = 1 << 27
MAX_EXPERTS = 1 << 14
SWIGLU_OSS_ALPHA = 1.702  # published: gpt-oss configuration; the sigmoid's slope in "swiglu_oss"
_SCALINGS = ("none", "linear", "llama3", "yarn", "longrope")
_ACTIVATIONS = ("silu", "gelu", "gelu_tanh", "swiglu_oss")


def require(condition: bool, message: str) -> None:
    """Raises CheckpointError with `message` unless `condition` holds."""
    if not condition:
        raise CheckpointError(f"Model configuration: {message}.", remedy="Check config.json or the GGUF metadata.")


def require_range(name: str, value: float, low: float, high: float) -> None:
    """Raises CheckpointError unless low <= value <= high (not-a-number fails too)."""
    require(low <= value <= high, f"{name} is {value}, expected {low} to {high}")


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """Rotary position embedding.

    Attributes:
        theta: base of the geometric series of frequencies.
        dims: rotated columns of each head, from its `offset` on; even.
        style: "half" pairs column j with j + dims/2; "interleaved" pairs 2j with 2j + 1.
        offset: first rotated column of a head (latent attention rotates the last columns of a query).
        scaling: how frequencies are stretched beyond the trained context; the fields below belong to it.
        factor: stretch (linear, llama3, yarn).
        low_freq_factor, high_freq_factor: wavelength limits in units of 1/original_context (llama3).
        original_context: trained context (llama3, yarn, longrope).
        beta_fast, beta_slow: rotations that bound the ramp (yarn); `truncate` rounds its ends to whole dimensions.
        attention_factor: multiplies cosines and sines (yarn, longrope).
        short_factors, long_factors: a divisor of each frequency, in programs whose sequences stay within the trained
            context, and in those whose sequences may be longer (longrope).
        factors: whether the checkpoint brings one divisor a frequency (GGUF's rope_freqs.weight).
        local_theta: base of windowed layers, which are then not scaled; 0 means the same as the others.
        skip_layers: layers that do not rotate at all.
    """

    theta: float
    dims: int
    style: RopeStyle = "half"
    offset: int = 0
    scaling: RopeScaling = "none"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    attention_factor: float = 1.0
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()
    factors: bool = False
    local_theta: float = 0.0
    skip_layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require_range("rope theta", self.theta, 1.001, 1e12)
        require_range("rope dims", self.dims, 2, MAX_DIM)
        require(self.dims % 2 == 0, f"rope dims ({self.dims}) must be even")
        require(self.style in ("half", "interleaved"), f"rope style {self.style!r} is unknown")
        require(self.scaling in _SCALINGS, f"rope scaling {self.scaling!r} is not one of {', '.join(_SCALINGS)}")
        require_range("rope scaling factor", self.factor, 1e-3, 1e6)
        require_range("rope attention factor", self.attention_factor, 1e-3, 1e3)
        require_range("rope local theta", self.local_theta, 0.0, 1e12)
        if self.scaling in ("llama3", "yarn", "longrope"):
            require_range("rope original context", self.original_context, 1, MAX_CONTEXT)
        if self.scaling == "llama3":
            require(0 < self.low_freq_factor <= self.high_freq_factor, "llama3 rope needs 0 < low_freq <= high_freq")
        if self.scaling == "yarn":
            require(0 < self.beta_slow <= self.beta_fast, "yarn needs 0 < beta_slow <= beta_fast")
        for name, factors in (("short", self.short_factors), ("long", self.long_factors)):
            wanted = self.dims // 2 if self.scaling == "longrope" else 0
            require(len(factors) == wanted, f"rope has {len(factors)} {name} factors, expected {wanted}")
            for factor in factors:
                require_range(f"{name} rope factor", factor, 1e-3, 1e6)


@dataclass(frozen=True, slots=True)
class MoeConfig:
    """A mixture of experts.

    Attributes:
        experts, top_k: experts of a layer and how many each token visits.
        ffn: hidden width of one expert.
        layers: the layers that have it; the others are dense.
        scoring: what turns router logits into scores.
        normalize: whether the chosen scores are divided by their sum.
        scaling: factor on the chosen scores.
        groups, top_groups: experts are chosen only from the best groups (1 and 1: no limit).
        group_best: a group's score is the sum of so many of its best experts, 1 or 2.
        shared_ffn: hidden width of the expert that every token visits; 0 for none.
        router_bias: a bias is added to the router's logits.
        selection_bias: a bias is added to scores for the choice only.
        expert_bias: experts' projections have biases.
        scale_input: scores multiply an expert's input instead of its output.
        limit: clamp of the activation "swiglu_oss"; 0 for none.
    """

    experts: int
    top_k: int
    ffn: int
    layers: tuple[int, ...]
    scoring: Literal["softmax", "sigmoid"] = "softmax"
    normalize: bool = True
    scaling: float = 1.0
    groups: int = 1
    top_groups: int = 1
    group_best: int = 2
    shared_ffn: int = 0
    router_bias: bool = False
    selection_bias: bool = False
    expert_bias: bool = False
    scale_input: bool = False
    limit: float = 0.0

    def __post_init__(self) -> None:
        require_range("experts", self.experts, 1, MAX_EXPERTS)
        require_range("experts a token", self.top_k, 1, self.experts)
        require_range("expert width", self.ffn, 1, MAX_DIM)
        require_range("shared expert width", self.shared_ffn, 0, MAX_DIM)
        require_range("expert groups", self.groups, 1, self.experts)
        require_range("chosen expert groups", self.top_groups, 1, self.groups)
        require_range("best experts that a group is judged by", self.group_best, 1, 2)
        require(self.experts % self.groups == 0, f"{self.experts} experts do not divide into {self.groups} groups")
        eligible = self.experts // self.groups * self.top_groups
        require(self.top_k <= eligible, f"{self.top_k} experts a token, but only {eligible} in the chosen groups")
        require(self.scoring in ("softmax", "sigmoid"), f"expert scoring {self.scoring!r} is unknown")
        require_range("expert scaling", self.scaling, 1e-6, 1e6)
        require_range("activation limit", self.limit, 0.0, 1e6)


@dataclass(frozen=True, slots=True)
class MlaConfig:
    """Multi-head latent attention: keys and values are expanded from one small latent a token.

    Attributes:
        q_rank: width of the query's latent; 0 when queries are projected directly.
        kv_rank: width of the cached latent of keys and values.
        nope_dim, rope_dim: a head's columns without and with rotation; the rotated key is shared by all heads.
        v_dim: a head's value columns.
    """

    q_rank: int
    kv_rank: int
    nope_dim: int
    rope_dim: int
    v_dim: int

    def __post_init__(self) -> None:
        require_range("query latent width", self.q_rank, 0, MAX_DIM)
        for name in ("kv_rank", "nope_dim", "rope_dim", "v_dim"):
            require_range(f"latent attention {name}", getattr(self, name), 1, MAX_DIM)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A decoder-only transformer; see the package's families for how each fills it.

    Attributes:
        family: the architecture's short name, e.g. "llama".
        name: display name.
        layers, dim, heads, kv_heads, head_dim, ffn, vocab: sizes; ffn is the dense layers' hidden width.
        context: longest trained context in tokens.
        norm_eps: added to the variance by every norm.
        rope: rotary positions, or None.
        norm: "rms" (weight only) or "layer" (weight and bias).
        activation: of the feed-forward layers; gated unless `gated` is False.
        tied: the language model head is the embedding matrix.
        windows: a layer attends to the last so many positions, itself included; 0 means all.
        chunked: windows are aligned chunks instead: a position attends within its own chunk only.
        qk_norm: "none"; "weight" (a learned norm of each head before rotation); "whole" (one of all heads together,
            before rotation); "l2" (no weight, after rotation).
        qkv_bias, out_bias, mlp_bias: biases of those projections.
        pre_norms: a norm before attention and before the feed-forward.
        post_norms: a norm after attention and after the feed-forward, before the residual sum.
        parallel: attention and feed-forward read the same hidden state, each by a norm of its own, and are added
            together.
        learned_positions: an embedding of positions is added to that of tokens.
        embed_scale: factor on embeddings.
        residual_scale: factor on what attention and feed-forward add to the residual stream.
        logit_scale: factor on logits, before they are capped.
        query_scale: factor on attention scores; 0 means 1/sqrt(head_dim).
        attn_softcap, logit_softcap: x becomes cap * tanh(x / cap); 0 means none.
        sinks: one learned logit a head joins the softmax of attention and takes no value.
        temperature_floor, temperature_scale: queries of layers without rotation grow with the position:
            1 + scale * log(1 + floor((position + 1) / floor)); floor 0 means none.
        moe, mla: mixture of experts and latent attention, or None.
    """

    family: str
    name: str
    layers: int
    dim: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    context: int
    norm_eps: float
    rope: RopeConfig | None
    norm: Literal["rms", "layer"] = "rms"
    activation: Activation = "silu"
    gated: bool = True
    tied: bool = False
    windows: tuple[int, ...] = ()
    chunked: bool = False
    qk_norm: Literal["none", "weight", "whole", "l2"] = "none"
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    pre_norms: bool = True
    post_norms: bool = False
    parallel: bool = False
    learned_positions: bool = False
    embed_scale: float = 1.0
    residual_scale: float = 1.0
    logit_scale: float = 1.0
    query_scale: float = 0.0
    attn_softcap: float = 0.0
    logit_softcap: float = 0.0
    sinks: bool = False
    temperature_floor: int = 0
    temperature_scale: float = 0.0
    moe: MoeConfig | None = None
    mla: MlaConfig | None = None

    def __post_init__(self) -> None:
        require_range("layers", self.layers, 1, MAX_LAYERS)
        for name in ("dim", "heads", "kv_heads", "head_dim", "ffn"):
            require_range(name, getattr(self, name), 1, MAX_DIM)
        require_range("vocab", self.vocab, 1, MAX_VOCAB)
        require_range("context", self.context, 1, MAX_CONTEXT)
        require_range("norm epsilon", self.norm_eps, 0.0, 1.0)
        require_range("heads x head_dim", self.heads * self.head_dim, 1, MAX_DIM)
        require(self.heads % self.kv_heads == 0, f"{self.heads} heads do not divide by {self.kv_heads} kv heads")
        require(self.activation in _ACTIVATIONS, f"activation {self.activation!r} is unknown")
        for name in ("embed_scale", "query_scale", "attn_softcap", "logit_softcap", "temperature_scale"):
            require_range(name, getattr(self, name), 0.0, 1e6)
        for name in ("residual_scale", "logit_scale"):
            require_range(name, getattr(self, name), 1e-3, 1e3)
        scaled = self.residual_scale != 1.0
        require(not scaled or self.pre_norms, "a residual scale needs norms before attention and feed-forward")
        require(not scaled or not self.learned_positions, "a residual scale goes with no learned positions")
        plain = self.pre_norms and not self.post_norms
        require(not self.parallel or plain, "parallel parts have norms before them and none behind")
        require(self.pre_norms or self.post_norms, "layers need norms before or after their parts")
        require_range("temperature floor", self.temperature_floor, 0, MAX_CONTEXT)
        self._check_layers()
        self._check_heads()

    def _check_layers(self) -> None:
        require(len(self.windows) in (0, self.layers), f"{len(self.windows)} windows for {self.layers} layers")
        for window in self.windows:
            require_range("window", window, 0, MAX_CONTEXT)
        if self.moe is not None:
            require(all(0 <= i < self.layers for i in self.moe.layers), "a mixture layer is out of range")

    def _check_heads(self) -> None:
        if self.rope is None:
            return
        width = self.mla.rope_dim if self.mla is not None else self.head_dim
        require(self.rope.dims <= width, f"rope turns {self.rope.dims} of {width} columns")
        require(all(0 <= i < self.layers for i in self.rope.skip_layers), "a layer without rope is out of range")

    @property
    def scale(self) -> float:
        """Factor on attention scores."""
        return self.query_scale or self.head_dim**-0.5

    def window(self, layer: int) -> int:
        """Window (or chunk) of a layer in positions; 0 means all."""
        return self.windows[layer] if self.windows else 0

    def is_sparse(self, layer: int) -> bool:
        """Whether the layer's feed-forward is a mixture of experts."""
        return self.moe is not None and layer in self.moe.layers
