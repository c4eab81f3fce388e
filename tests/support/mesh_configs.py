"""Small configurations that no checkpoint of the golden cases has: what a graph may hold, and wafers must compute."""

from dataclasses import replace
from random import Random

from undiced.compiler.wafer.lower.choices import EXACT, LEAN, Choices
from undiced.model import MlaConfig, ModelConfig, MoeConfig, RopeConfig

VOCAB = 37
SLICED = Choices(row_slices=3, band_slices=4)
CLAMPED = Choices(softmax="clamped", row_slices=2)
MESHES = [(1, 1), (5, 7), (6, 4), (3, 9), (9, 3), (2, 2), (2, 29)]
DENSE = ModelConfig(
    family="llama", name="any", layers=2, dim=32, heads=4, kv_heads=2, head_dim=8, ffn=20, vocab=VOCAB, context=64,
    norm_eps=1e-5, rope=RopeConfig(theta=1e4, dims=8),
)  # fmt: skip
MIXED = replace(DENSE, moe=MoeConfig(experts=8, top_k=3, ffn=10, layers=(1,)))
LATENT = replace(
    DENSE,
    rope=RopeConfig(theta=1e4, dims=4),
    mla=MlaConfig(q_rank=7, kv_rank=10, nope_dim=6, rope_dim=4, v_dim=5),
)


def mixed(**how):
    """A model with a dense layer and a mixture, which differs from the plainest as `how` says."""
    return replace(MIXED, moe=replace(MIXED.moe, **how))


def latent(**how):
    """A model with latent attention, which differs from the plainest as `how` says."""
    return replace(LATENT, mla=replace(LATENT.mla, **how))


def anything(seed):
    """A configuration drawn from all that graphs may hold; a mesh and choices to lower it for."""
    r = Random(seed)
    config = replace(
        DENSE,
        heads=(heads := r.choice([2, 4, 6])),
        kv_heads=r.choice([n for n in (1, 2, 3, 6) if heads % n == 0]),
        head_dim=r.choice([8, 16]),
        norm=r.choice(["rms", "rms", "rms", "layer"]),
        activation=r.choice(["silu", "gelu_tanh", "swiglu_oss", "gelu"]),
        qkv_bias=r.random() < 0.4,
        out_bias=r.random() < 0.3,
        mlp_bias=r.random() < 0.3,
        post_norms=r.random() < 0.3,
        sinks=r.random() < 0.3,
        windows=r.choice([(), (0, 6), (5, 0)]),
        chunked=r.random() < 0.4,
        qk_norm=r.choice(["none", "weight", "l2"]),
        temperature_floor=r.choice([0, 3]),
        temperature_scale=0.4,
        attn_softcap=r.choice([0.0, 30.0]),
        logit_softcap=r.choice([0.0, 20.0]),
        learned_positions=r.random() < 0.2,
        embed_scale=r.choice([1.0, 3.0]),
        moe=_any_mixture(r) if r.random() < 0.7 else None,
        mla=(mla := _any_latent(r) if r.random() < 0.5 else None),
        rope=_any_rope(r, mla.rope_dim if mla else 8, mla is None),
    )
    if config.activation != "swiglu_oss":
        config = replace(config, gated=r.random() < 0.8)
    return config, r.choice(MESHES), r.choice([EXACT, EXACT, LEAN, SLICED, CLAMPED]), r.choice([(), (3,)])


def _any_mixture(r):
    groups = r.choice([1, 1, 2, 4])
    members = r.choice([1, 2, 3]) if groups > 1 else r.choice([3, 5, 8])
    best = r.randint(1, groups)
    return MoeConfig(
        experts=groups * members,
        top_k=r.randint(1, min(4, members * best)),
        ffn=r.choice([6, 10, 16]),
        layers=r.choice([(1,), (0, 1)]),
        scoring=r.choice(["softmax", "sigmoid"]),
        normalize=r.random() < 0.5,
        scaling=r.choice([1.0, 2.5]),
        groups=groups,
        top_groups=best,
        shared_ffn=r.choice([0, 9, 14]),
        router_bias=r.random() < 0.5,
        selection_bias=r.random() < 0.5,
        expert_bias=r.random() < 0.4,
        scale_input=r.random() < 0.3,
        limit=r.choice([0.0, 1.0]),
    )


def _any_latent(r):
    return MlaConfig(
        q_rank=r.choice([0, 7, 24]),
        kv_rank=r.choice([5, 20]),
        nope_dim=r.choice([3, 8, 12]),
        rope_dim=r.choice([2, 4, 8]),
        v_dim=r.choice([1, 5, 10]),
    )


def _any_rope(r, width, skips):
    return RopeConfig(
        theta=1e4,
        dims=r.choice([d for d in (2, 4, 8) if d <= width]),
        style=r.choice(["half", "interleaved"]),
        scaling=r.choice(["none", "linear"]),
        factor=2.0,
        attention_factor=r.choice([1.0, 1.3]),
        factors=r.random() < 0.3,
        skip_layers=r.choice([(), (1,)]) if skips else (),
        local_theta=r.choice([0.0, 500.0]) if skips else 0.0,
    )
