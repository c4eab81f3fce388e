"""The table of lowerings: how each operator of the graph becomes instructions. One without a row is refused."""

from __future__ import annotations

from collections.abc import Callable

from undiced.compiler.wafer.lower.attention import attention
from undiced.compiler.wafer.lower.ends import embed, position_embed
from undiced.compiler.wafer.lower.feedforward import act, add, glu, mul_scalar, softcap
from undiced.compiler.wafer.lower.latent import mla_attention
from undiced.compiler.wafer.lower.lowering import Lowering
from undiced.compiler.wafer.lower.mixtures import moe_ffn
from undiced.compiler.wafer.lower.norms import layernorm, rmsnorm
from undiced.compiler.wafer.lower.positions import position_scale, rope
from undiced.compiler.wafer.lower.products import linear
from undiced.compiler.wafer.lower.routes import moe_route
from undiced.model.node import Node

Lower = Callable[[Lowering, Node], None]

LOWERINGS: dict[str, Lower] = {
    "embed": embed,
    "position_embed": position_embed,
    "rmsnorm": rmsnorm,
    "layernorm": layernorm,
    "linear": linear,
    "rope": rope,
    "position_scale": position_scale,
    "attention": attention,
    "glu": glu,
    "act": act,
    "mla_attention": mla_attention,
    "moe_route": moe_route,
    "moe_ffn": moe_ffn,
    "add": add,
    "mul_scalar": mul_scalar,
    "softcap": softcap,
}
