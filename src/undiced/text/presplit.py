"""How each byte-level tokenizer splits text before merging, by the name GGUF gives it (`tokenizer.ggml.pre`).

Data only; every pattern is in llama.cpp's table of the same names (src/llama-vocab.cpp). Also checked: against the
published tokenizer.json (llama-bpe, qwen2, deepseek-v3, gpt-4o) or llama.cpp's vocabulary test vectors (gpt-2,
starcoder, refact, command-r, deepseek-coder, llama-bpe, qwen2). NFC where the model's tokenizer in transformers has it.
"""

from __future__ import annotations

from msgspec import Struct

_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TAIL_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+", rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"

GPT2 = "gpt2"
DIGITS = "digits"


class Presplit(Struct, frozen=True):
    """Splits applied one after another: a regular expression (Oniguruma), or one of the built-in GPT2 and DIGITS.

    nfc: text is normalized first. ignore_merges: a whole piece that is a token needs no merges.
    add_bos: the default where the file does not say.
    """

    splits: tuple[str, ...]
    nfc: bool = False
    ignore_merges: bool = False
    add_bos: bool = False


_LLAMA3 = rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_TAIL}"
_QWEN2 = rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_TAIL}"
_GPT4O = rf"{_CASED[0]}{_CONTRACTION}?|{_CASED[1]}{_CONTRACTION}?|\p{{N}}{{1,3}}|{_TAIL_SLASH}"
_TEKKEN = rf"{_CASED[0]}|{_CASED[1]}|\p{{N}}|{_TAIL_SLASH}"
_DEEPSEEK3 = (
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u30ff]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
)
_DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", DIGITS)

_LLAMA3_SPLIT = Presplit((_LLAMA3,), ignore_merges=True, add_bos=True)


def _alike(names: str, split: Presplit) -> dict[str, Presplit]:
    return dict.fromkeys(names.split(), split)


PRESPLITS: dict[str, Presplit] = {
    **_alike("gpt-2 phi-2 gigachat a.x-4.0 mellum exaone4 modern-bert", Presplit((GPT2,))),
    **_alike("mpt olmo jais trillion granite-docling", Presplit((GPT2,))),
    **_alike("smollm starcoder refact codeshell exaone minerva-7b mellum2", Presplit((DIGITS, GPT2))),
    "command-r": Presplit((DIGITS, GPT2), nfc=True),
    **_alike("llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2", _LLAMA3_SPLIT),
    **_alike("smaug-bpe dbrx glm4 chatglm-bpe", Presplit((_LLAMA3,))),
    **_alike("qwen2 deepseek-r1-qwen kormo megrez", Presplit((_QWEN2,), nfc=True)),
    **_alike("stablelm2 hunyuan solar-open grok-2", Presplit((_QWEN2,))),
    **_alike("gpt-4o llama4 kanana2 talkie minimax-m2", Presplit((_GPT4O,))),
    "tekken": Presplit((_TEKKEN,), ignore_merges=True, add_bos=True),
    **_alike("deepseek-v3 hunyuan-dense joyai-llm", Presplit(_DEEPSEEK3)),
    "deepseek-coder": Presplit(_DEEPSEEK_CODER),
}
