"""DeepSeek V3 and R1: latent attention, and experts chosen by biased sigmoid scores within the best groups.

Queries and the shared key rotate interleaved pairs of their last columns. Extra prediction layers after the last are
left out. Sources: DeepseekV3Config of Hugging Face; the DeepSeek-V3 technical report (arXiv 2412.19437).
"""

from __future__ import annotations

from undiced.model.config import MAX_DIM, MAX_EXPERTS, ModelConfig, MoeConfig
from undiced.model.families.family import IGNORED, Family
from undiced.model.families.fields import Fields
from undiced.model.families.latent import HF_NAMES, latent_config, refuse_others


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a DeepseekV3Config; other ways of scoring or choosing experts are refused."""
    refuse_others(fields, "DeepSeek V3", {"scoring_func": ("sigmoid",), "topk_method": ("noaux_tc",)})
    return latent_config("deepseek_v3", fields, 4096, _experts)


def _experts(fields: Fields, layers: int) -> MoeConfig:
    experts = fields.integer("n_routed_experts", high=MAX_EXPERTS)
    ffn = fields.integer("moe_intermediate_size", high=MAX_DIM)
    first = fields.integer("first_k_dense_replace", 3, low=0)
    step = fields.integer("moe_layer_freq", 1)
    return MoeConfig(
        experts=experts,
        top_k=fields.integer("num_experts_per_tok", 8, high=experts),
        ffn=ffn,
        layers=tuple(layer for layer in range(layers) if layer >= first and layer % step == 0),
        scoring="sigmoid",
        normalize=fields.flag("norm_topk_prob", True),
        scaling=fields.number("routed_scaling_factor", 2.5),
        groups=fields.integer("n_group", 8, high=experts),
        top_groups=fields.integer("topk_group", 4, high=experts),
        shared_ffn=ffn * fields.integer("n_shared_experts", 1, low=0, high=MAX_EXPERTS),
        selection_bias=True,
    )


FAMILY = Family(
    name="deepseek_v3",
    hf=("deepseek_v3", "DeepseekV3ForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    ignored=(*IGNORED, "model.layers.{layers}.*"),
)
