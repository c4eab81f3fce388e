"""From whatever names a model (a name, config.json, ModelConfig, Graph or `Dims`) to the dimensions a mapping takes."""

from __future__ import annotations

from pathlib import Path

from undiced.compiler.wafer.dims import Dims, Experts, Latent
from undiced.core.documents import read_object
from undiced.core.errors import CheckpointError, CompileError, ModelNotFoundError, UnsupportedError
from undiced.core.quote import file_name, quoted, stem
from undiced.model import Graph, ModelConfig, config_from_json, preset


def dims_of(model: object) -> Dims:
    """The dimensions of `model`.

    Raises:
        ModelNotFoundError: a name that is neither known nor a file.
        CheckpointError: a file that is no configuration, or has values that make no sense.
        CompileError: a configuration without the fields of a decoder.
    """
    if isinstance(model, Dims):
        return model
    if isinstance(model, Graph):
        return _of_config(model.config)
    if isinstance(model, ModelConfig):
        return _of_config(model)
    if isinstance(model, dict):
        return _of_json(model, "config.json")
    if isinstance(model, Path) or (isinstance(model, str) and model.endswith(".json")):
        return _of_file(Path(model))
    return _of_config(preset(str(model)))


def _of_config(config: ModelConfig) -> Dims:
    experts = latent = None
    if config.moe is not None:
        dense = config.layers - len(config.moe.layers)
        experts = Experts(config.moe.experts, config.moe.top_k, config.moe.ffn, config.moe.shared_ffn, dense)
    if config.mla is not None:
        mla = config.mla
        latent = Latent(mla.q_rank, mla.kv_rank, mla.nope_dim, mla.rope_dim, mla.v_dim)
    return Dims(
        config.name,
        config.layers,
        config.dim,
        config.heads,
        config.kv_heads,
        config.head_dim,
        config.ffn,
        config.vocab,
        config.qk_norm != "none",
        experts,
        latent,
    )


def _of_file(path: Path) -> Dims:
    if not path.exists():
        raise ModelNotFoundError(f"There is no file {file_name(path)}.", remedy="Give a model's config.json.")
    return _of_json(read_object(path)[0], str(path))


def _of_json(data: dict[str, object], where: str) -> Dims:
    """As the model package reads it; a family that it does not run, or a bare list of sizes, by its sizes alone.

    A configuration of a family that it runs is not guessed at where a value makes no sense.
    """
    try:
        return _of_config(config_from_json(data, stem(Path(where))))
    except UnsupportedError:
        return _of_sizes(data, where)
    except CheckpointError:
        if any(data.get(key) is not None for key in ("model_type", "architectures", "text_config")):
            raise
        return _of_sizes(data, where)


def _of_sizes(data: dict[str, object], where: str) -> Dims:
    nested = data.get("text_config")
    if isinstance(nested, dict):
        data = {**data, **nested}

    def number(*names: str, default: int | None = None) -> int:
        for name in names:
            value = data.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            if value is not None:
                raise CompileError(f"{where}: {name} is {value!r:.40}, no whole number.", remedy="Correct the file.")
        if default is None:
            raise CompileError(f"{where}: no {names[0]}.", remedy="Give the config.json of a decoder.")
        return default

    dim, heads = number("hidden_size", "n_embd", "dim"), number("num_attention_heads", "n_head", "heads")
    return Dims(
        _name(data, where),
        number("num_hidden_layers", "n_layer", "layers"),
        dim,
        heads,
        number("num_key_value_heads", "kv_heads", default=heads),
        number("head_dim", default=max(1, dim // max(heads, 1))),
        number("intermediate_size", "n_inner", "ffn", default=4 * dim),
        number("vocab_size", "vocab"),
        data.get("model_type") in ("qwen3", "qwen3_moe", "gemma3", "gemma3_text"),
        _experts(number, data),
        _latent(number),
    )


def _name(data: dict[str, object], where: str) -> str:
    for key in ("name", "model_type"):
        value = data.get(key)
        if isinstance(value, str):
            return value
        if value is not None:
            raise CompileError(f"{where}: {key} is {quoted(value)}, no text.", remedy="Correct the file.")
    return stem(Path(where))


def _experts(number: object, data: dict[str, object]) -> Experts | None:
    assert callable(number)
    count = number("n_routed_experts", "num_local_experts", "num_experts", default=0)
    if count <= 1:
        return None
    width = number("moe_intermediate_size", "intermediate_size")
    shared = width * number("n_shared_experts", default=0) or number("shared_expert_intermediate_size", default=0)
    active = number("num_experts_per_tok", "experts_per_token")
    return Experts(count, active, width, shared, number("first_k_dense_replace", default=0))


def _latent(number: object) -> Latent | None:
    assert callable(number)
    rank = number("kv_lora_rank", default=0)
    if rank == 0:
        return None
    return Latent(
        number("q_lora_rank", default=0),
        rank,
        number("qk_nope_head_dim"),
        number("qk_rope_head_dim"),
        number("v_head_dim"),
    )
