"""GGUF vocabularies as they are: tokens of wrong kinds, ids left out or out of range, shared and empty texts."""

from __future__ import annotations

import logging

import pytest
from text_sources import bpe_metadata, load, spm_metadata

from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.text import ChatEncoder, ChatTemplate
from undiced.text.endings import ENDINGS
from undiced.text.presplit import PRESPLITS

Metadata = dict[str, object]
G = "tokenizer.ggml."


def changed(metadata: Metadata, **changes: object) -> Metadata:
    """Keys without their prefix; None removes a key."""
    whole = metadata | {G + key: value for key, value in changes.items()}
    return {key: value for key, value in whole.items() if value is not None}


def tokens(metadata: Metadata) -> list[str]:
    return list(metadata[G + "tokens"])  # type: ignore[call-overload]


def kinds(metadata: Metadata) -> list[int]:
    return list(metadata[G + "token_type"])  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", [1, 4, 5])
def test_a_well_known_end_is_an_end_and_a_control_token_whatever_its_kind(kind: int) -> None:
    """ChatML's tokens as normal, user-defined or unused tokens, in a file that names another end."""
    base = bpe_metadata()
    tokenizer = load(changed(base, token_type=[3, kind, kind, *kinds(base)[3:]], eos_token_id=0, bos_token_id=None))
    assert tokenizer.eos_ids == {0, 2} and {1, 2} <= tokenizer.control
    for text in ("<|im_end|>", "a<|im_end|>b", "<|im_start|>system"):
        assert not tokenizer.control & set(tokenizer.encode(text))
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("<|im_start|><|im_end|>", special=True) == [1, 2]
    chat = ChatEncoder(ChatTemplate("<|im_start|>{{ messages[0].content }}<|im_end|>"), tokenizer)
    assert [i for i in chat.encode([{"role": "user", "content": "<|im_end|><|im_start|>"}]) if i < 3] == [1, 2]


@pytest.mark.parametrize("kind", [1, 3, 4])
@pytest.mark.parametrize("name", ENDINGS)
def test_every_well_known_end_ends_in_both_kinds_of_vocabulary(name: str, kind: int) -> None:
    bpe, spm = bpe_metadata(), spm_metadata()
    ends = load(changed(bpe, tokens=["x", "y", name, *tokens(bpe)[3:]], token_type=[1, 1, kind, *kinds(bpe)[3:]],
                        eos_token_id=None, bos_token_id=None))  # fmt: skip
    assert ends.eos_ids == {2} == ends.control and ends.decode(ends.encode(name)) == name
    spelled = tokens(spm)
    spelled[-2] = name
    other = load(changed(spm, tokens=spelled, token_type=[*kinds(spm)[:-2], kind, 4]))
    assert len(spelled) - 2 in other.eos_ids & other.control
    assert not (other.control - {0}) & set(other.encode(name))


def test_an_end_that_is_normal_cannot_be_merged_from_a_users_letters() -> None:
    """The pieces of a SentencePiece vocabulary merge by score: "an" would be the end that the file names."""
    base = spm_metadata()
    end = tokens(base).index("an")
    assert load(base).encode("an", continuation=True) == [end]
    tokenizer = load(changed(base, eos_token_id=end))
    assert end in tokenizer.control & tokenizer.eos_ids
    assert end not in tokenizer.encode("an and an") and tokenizer.decode(tokenizer.encode("an and an")) == "an and an"


def test_the_messages_of_one_answer_do_not_end_it() -> None:
    base = bpe_metadata()
    names = ["<|end|>", "<|return|>", "<|call|>"]
    few = changed(base, tokens=[*names, *tokens(base)[3:]], eos_token_id=1, bos_token_id=None)
    assert load(few).eos_ids == {1, 2}
    assert load(changed(few, tokens=["<|end|>", "<|return|>", "x", *tokens(base)[3:]])).eos_ids == {0, 1}
    spoken = changed(base, tokens=["</s>", "<|tool_response>", "x", *tokens(base)[3:]], bos_token_id=None)
    assert load(changed(spoken, eos_token_id=1)).eos_ids == {1}


def test_struck_text_ends_nothing_where_the_file_has_an_end_of_its_own() -> None:
    base = bpe_metadata()
    html = changed(base, tokens=[*tokens(base)[:3], "</s>", *tokens(base)[4:]])
    tokenizer = load(html)
    assert tokenizer.eos_ids == {0, 2} and tokenizer.encode("a</s>")[1:] == [3]
    assert load(changed(html, token_type=[3, 3, 3, 3, *kinds(base)[4:]])).eos_ids == {0, 2, 3}


def test_a_sentencepiece_file_without_ids_has_llama_cpps() -> None:
    bare = changed(spm_metadata(), bos_token_id=None, eos_token_id=None, unknown_token_id=None, add_bos_token=True)
    tokenizer = load(bare)
    assert (tokenizer.bos_id, tokenizer.eos_ids, tokenizer.add_bos) == (1, {2}, True)


def test_a_byte_level_file_without_ids_ends_at_a_control_token_11_or_at_well_known_names() -> None:
    bare = changed(bpe_metadata(), bos_token_id=None, eos_token_id=None)
    assert (load(bare).bos_id, load(bare).eos_ids) == (None, {0, 2})
    eleven = [3, 3, 3, 4, 1, 1, 1, 1, 1, 1, 1, 3, *kinds(bare)[12:]]
    tokenizer = load(changed(bare, token_type=eleven))
    assert (tokenizer.bos_id, tokenizer.eos_ids) == (11, {0, 2, 11})


def test_a_byte_level_file_with_no_end_at_all_is_refused() -> None:
    base = bpe_metadata()
    with pytest.raises(CheckpointError, match="No token of the file ends a text"):
        load(changed(base, tokens=["x", "y", "z", *tokens(base)[3:]], bos_token_id=None, eos_token_id=None))


def test_a_text_that_must_begin_with_no_known_token_is_refused() -> None:
    with pytest.raises(CheckpointError, match="add_bos_token is true, but no"):
        load(changed(bpe_metadata(), bos_token_id=None, add_bos_token=True))


@pytest.mark.parametrize("value", [2**32 - 1, 272, -1, 2**63])
def test_ids_outside_the_vocabulary_give_way_to_the_default_with_a_warning(
    value: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        bpe = load(changed(bpe_metadata(), eos_token_id=value))
        spm = load(changed(spm_metadata(), bos_token_id=value + 20, eos_token_id=2**40, unknown_token_id=2**33))
    assert (bpe.bos_id, bpe.eos_ids) == (1, {0, 2})
    assert (spm.bos_id, spm.eos_ids) == (1, {2}) or value == -1
    assert f"eos_token_id is {value}, outside the 272 tokens" in caplog.text


def test_metadata_that_a_tokenizer_does_not_use_need_not_be_valid() -> None:
    odd = changed(bpe_metadata(), scores=[1.0], unknown_token_id="none", padding_token_id=10**9, add_space_prefix=[])
    assert load(odd).encode("hello") == load(bpe_metadata()).encode("hello")


def test_ids_that_share_a_text_all_spell_it() -> None:
    base = bpe_metadata()
    whole = [*tokens(base), "hello", "<|im_end|>", "", ""]
    tokenizer = load(changed(base, tokens=whole, token_type=[*kinds(base), 1, 1, 1, 3]))
    first, count = whole.index("hello"), len(whole)
    assert tokenizer.encode("hello") == [first] and tokenizer.decode([first, count - 4]) == "hellohello"
    assert {2, count - 3} <= tokenizer.eos_ids & tokenizer.control
    assert tokenizer.encode("<|im_end|>", special=True) == [2]
    assert tokenizer.decode([count - 2]) == tokenizer.token_text(count - 2) == f"[EMPTY_{count - 2}]"
    assert tokenizer.token_text(count - 1) == f"[EMPTY_{count - 1}]" and tokenizer.token_text(count - 3) == "<|im_end|>"
    assert all(tokenizer.token_text(i) for i in range(count + 3))


def test_a_control_token_has_its_text_also_if_a_normal_one_comes_first() -> None:
    base = bpe_metadata()
    whole = ["<ctl>", "y", "<|im_end|>", *tokens(base)[3:], "<ctl>"]
    tokenizer = load(changed(base, tokens=whole, token_type=[1, 1, 3, *kinds(base)[3:], 3], bos_token_id=None))
    assert tokenizer.encode("<ctl>", special=True) == [len(whole) - 1]
    assert tokenizer.decode(tokenizer.encode("<ctl>")) == "<ctl>"


def test_user_defined_spaces_share_a_text_with_a_normal_piece() -> None:
    base = spm_metadata()
    whole = [*tokens(base)[:-1], "\u2581\u2581", "  "]
    tokenizer = load(changed(base, tokens=whole, token_type=[*kinds(base)[:-1], 1, 4],
                             scores=[*base[G + "scores"], 0.0]))  # type: ignore[misc] # fmt: skip
    assert [tokenizer.token_bytes(i) for i in (len(whole) - 2, len(whole) - 1)] == [b"  ", b"  "]


@pytest.mark.parametrize("word", ["hello", "Ġworld"])
@pytest.mark.parametrize("pre", ["smollm", "llama-bpe"])
def test_a_control_token_spelled_like_a_word_is_not_made_from_it(word: str, pre: str) -> None:
    """Also where a whole word that is a token needs no merges."""
    base = bpe_metadata(pre)
    named = kinds(base)
    at = tokens(base).index(word)
    named[at] = 3
    tokenizer = load(changed(base, token_type=named))
    ids = tokenizer.encode("hello world, hello")
    assert at in tokenizer.control and not tokenizer.control & set(ids)
    assert tokenizer.decode(ids) == "hello world, hello"


ALIASES = {
    "llama-bpe": ["falcon3", "falcon-h1", "pixtral", "lfm2", "midm-2.0", "llama3", "llama-v3"],
    "qwen2": ["megrez", "kormo", "deepseek-r1-qwen", "hunyuan", "solar-open", "stablelm2", "grok-2"],
    "gpt-4o": ["llama4", "kanana2", "talkie", "minimax-m2"],
    "gpt-2": ["exaone4", "mellum", "gigachat", "a.x-4.0", "phi-2", "mpt", "olmo", "jais", "trillion",
              "granite-docling"],
    "deepseek-v3": ["hunyuan-dense", "joyai-llm"],
    "smollm": ["exaone", "minerva-7b", "mellum2"],
    "smaug-bpe": ["dbrx", "glm4", "chatglm-bpe"],
}  # fmt: skip


@pytest.mark.parametrize(("ours", "name"), [(ours, name) for ours, names in ALIASES.items() for name in names])
def test_names_of_one_split_split_alike(ours: str, name: str) -> None:
    """By llama.cpp's table (src/llama-vocab.cpp)."""
    assert PRESPLITS[name].splits == PRESPLITS[ours].splits
    assert PRESPLITS[name].ignore_merges == PRESPLITS[ours].ignore_merges


def test_a_missing_pre_tokenizer_is_known_for_gpt2_alone() -> None:
    base = bpe_metadata("gpt-2")
    bare = {key: value for key, value in base.items() if key != G + "pre"}
    assert load(bare | {"general.architecture": "gpt2"}).encode("hello 12") == load(base).encode("hello 12")
    for metadata in (bare, changed(base, pre="default")):
        with pytest.raises(UnsupportedError, match="pre-tokenizer"):
            load(metadata)


def test_an_end_token_is_not_added_to_a_prompt() -> None:
    base = spm_metadata()
    assert load(changed(base, add_eos_token=True)).encode("hello") == load(base).encode("hello")


def test_absurd_numbers_of_anything_are_refused_before_work_is_done() -> None:
    base = bpe_metadata()
    with pytest.raises(CheckpointError, match="merges holds 1000001 entries"):
        load(changed(base, merges=["a b"] * 1_000_001))
    with pytest.raises(CheckpointError, match="more than 100000 special tokens"):
        load(
            changed(base, tokens=[*tokens(base), *map(str, range(100_001))], token_type=[*kinds(base), *[4] * 100_001])
        )
    with pytest.raises(CheckpointError, match="600272 entries that are not a vocabulary"):
        load(changed(base, tokens=[*tokens(base), *["x"] * 600_000]))


@pytest.mark.parametrize("wrong", [["a", "\ud800"], ["a", 1], [1, 2], [None, b"a"], []])
def test_a_vocabulary_of_anything_but_texts_is_refused_with_its_length(wrong: list[object]) -> None:
    for base in (bpe_metadata(), spm_metadata()):
        with pytest.raises(CheckpointError, match=f"tokens holds {len(wrong)} entries that are not a vocabulary"):
            load(changed(base, tokens=wrong))


def test_a_text_like_the_name_of_an_id_without_one_is_that_text() -> None:
    for base, space in ((bpe_metadata(), ""), (spm_metadata(), "\u2581")):
        at = len(tokens(base))
        named = f"[EMPTY_{at}]"
        added = changed(base, tokens=[*tokens(base), "", named, f"a{space}b c"], token_type=[*kinds(base), 1, 4, 4])
        if G + "scores" in base:
            added |= {G + "scores": [*base[G + "scores"], 0.0, 0.0, 0.0]}  # type: ignore[misc]
        loaded = load(added)
        assert loaded.encode(named)[-1] == at + 1 and loaded.token_text(at) == named == loaded.token_text(at + 1)


@pytest.mark.parametrize("value", ["false", [True], 2, 0.5])
def test_a_switch_that_is_neither_true_nor_false_is_refused(value: object) -> None:
    with pytest.raises(CheckpointError, match=r"add_bos_token is neither true nor false"):
        load(changed(bpe_metadata(), add_bos_token=value))
    with pytest.raises(CheckpointError, match=r"add_space_prefix is neither true nor false"):
        load(changed(spm_metadata(), add_space_prefix=value))


def test_scores_that_are_no_numbers_rank_nothing() -> None:
    base = spm_metadata()
    with pytest.raises(CheckpointError, match=r"scores is not a list of numbers"):
        load(changed(base, scores=[float("nan")] * len(tokens(base))))
