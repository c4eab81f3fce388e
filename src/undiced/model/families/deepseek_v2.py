"""DeepSeek V2 and V2 Lite: latent attention, and experts chosen by softmax scores, of V2 within the best groups.

A group is as good as its best expert. Chosen scores are scaled and not divided by their sum. Sources: DeepseekV2Config
of Hugging Face; the DeepSeek-V2 technical report (arXiv 2405.04434).
"""

from __future__ import annotations

from undiced.core.errors import UnsupportedError
from undiced.model.config import MAX_DIM, MAX_EXPERTS, ModelConfig, MoeConfig
from undiced.model.families.deepseek_gguf import ARCHITECTURE, GGUF_NAMES, read_gguf
from undiced.model.families.family import Family
from undiced.model.families.fields import Fields
from undiced.model.families.latent import HF_NAMES, latent_config, refuse_others

_GROUPED = "group_limited_greedy"


def read_hf(fields: Fields) -> ModelConfig:
    """Configuration from a DeepseekV2Config; other ways of scoring or choosing experts are refused."""
    refuse_others(fields, "DeepSeek V2", {"scoring_func": ("softmax",), "topk_method": ("greedy", _GROUPED)})
    if fields.flag("norm_topk_prob", False):
        raise UnsupportedError(
            f"{fields.origin}: norm_topk_prob true is not supported: readers differ in what it means in DeepSeek V2.",
            remedy="Published models of the family state false; if this one is right, use another model.",
        )
    return latent_config("deepseek_v2", fields, 2048, _experts)


def _experts(fields: Fields, layers: int) -> MoeConfig:
    experts = fields.integer("n_routed_experts", 64, high=MAX_EXPERTS)
    ffn = fields.integer("moe_intermediate_size", 1407, high=MAX_DIM)
    first = fields.integer("first_k_dense_replace", 0, low=0)
    step = fields.integer("moe_layer_freq", 1)
    grouped = fields.text("topk_method", "greedy") == _GROUPED
    return MoeConfig(
        experts=experts,
        top_k=fields.integer("num_experts_per_tok", high=experts),
        ffn=ffn,
        layers=tuple(layer for layer in range(layers) if layer >= first and layer % step == 0),
        normalize=False,
        scaling=fields.number("routed_scaling_factor", 1.0),
        groups=fields.integer("n_group", high=experts) if grouped else 1,
        top_groups=fields.integer("topk_group", high=experts) if grouped else 1,
        group_best=1,
        shared_ffn=ffn * fields.integer("n_shared_experts", 2, low=0, high=MAX_EXPERTS),
    )


FAMILY = Family(
    name="deepseek_v2",
    hf=("deepseek_v2", "DeepseekV2ForCausalLM"),
    read_hf=read_hf,
    hf_names=HF_NAMES,
    gguf=(ARCHITECTURE,),
    read_gguf=read_gguf,
    gguf_names=GGUF_NAMES,
)
