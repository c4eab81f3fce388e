"""Tokenizers built from GGUF metadata and from a Hugging Face folder: what they promise, and what they refuse."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support import gguf_writer
from text_sources import Source, bpe_metadata, load, spm_metadata

from undiced.checkpoint import DEFAULT_MODEL, open_checkpoint
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.text import Tokenizer, load_tokenizer
from undiced.text.presplit import PRESPLITS

Metadata = dict[str, object]


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return load(bpe_metadata())


@pytest.fixture(scope="module")
def spm() -> Tokenizer:
    return load(spm_metadata())


def test_bpe_merges_and_splits_digits(bpe: Tokenizer) -> None:
    assert [bpe.token_text(i) for i in bpe.encode("hello world 12")] == ["hello", " world", " ", "1", "2"]


def test_control_tokens_are_parsed_only_on_request(bpe: Tokenizer) -> None:
    assert bpe.encode("<|im_end|>", special=True) == [2]
    assert 2 not in bpe.encode("a<|im_end|>b")
    assert bpe.decode(bpe.encode("a<|im_end|>b")) == "a<|im_end|>b"


def test_user_defined_tokens_are_text_that_is_always_parsed(bpe: Tokenizer) -> None:
    assert bpe.encode("<think>") == [3]
    assert bpe.decode([3]) == "<think>"


def test_control_tokens_decode_to_nothing_but_have_a_name(bpe: Tokenizer) -> None:
    assert (bpe.decode([1, 2]), bpe.token_bytes(2), bpe.token_text(2)) == ("", b"", "<|im_end|>")


def test_ids_without_a_token_have_a_name_and_do_not_vanish(bpe: Tokenizer) -> None:
    for token in (-1, bpe.vocab_size, 10**9):
        assert bpe.decode([token]) == bpe.token_text(token) == f"[PAD{token}]"


def test_roles(bpe: Tokenizer, spm: Tokenizer) -> None:
    assert (bpe.bos_id, bpe.eos_ids, bpe.add_bos) == (1, frozenset({0, 2}), False)
    assert (spm.bos_id, spm.eos_ids, spm.add_bos) == (1, frozenset({2}), True)


def test_an_end_of_turn_token_of_the_file_ends_a_text() -> None:
    assert 4 in load(bpe_metadata() | {"tokenizer.ggml.eot_token_id": 4}).eos_ids


def test_lone_surrogates_become_replacement_characters(bpe: Tokenizer) -> None:
    assert bpe.decode(bpe.encode("a\ud800b\U0001f600")) == "a\ufffdb\U0001f600"


def test_spm_prefixes_a_space_and_falls_back_to_bytes(spm: Tokenizer) -> None:
    ids = spm.encode("hello中")
    assert [spm.token_bytes(i) for i in ids] == [b" hello", b"\xe4", b"\xb8", b"\xad"]
    assert spm.decode(ids) == "hello中"
    assert spm.decode(ids, continuation=True) == " hello中"


def test_spm_without_prefix() -> None:
    tokenizer = load(spm_metadata(space_prefix=False))
    assert tokenizer.decode(tokenizer.encode(" hello"), continuation=False) == " hello"


def test_spm_merges_by_score_not_from_the_left(spm: Tokenizer) -> None:
    # "he" (-1) is found before "ll" (-2), and both before "hell"
    assert [spm.token_text(i) for i in spm.encode("hellhe")] == [" hell", "he"]


def test_spm_spells_user_defined_spaces_as_one_token(spm: Tokenizer) -> None:
    assert spm.token_bytes(spm.vocab_size - 1) == b"  "


@pytest.mark.parametrize("name", sorted(PRESPLITS))
def test_every_known_pre_tokenizer_builds_and_keeps_text(name: str) -> None:
    tokenizer = load(bpe_metadata(name))
    text = "It's 3.14159  in\r\n\r\n  Zürich, isn't IT?\t中文テスト 한국어 🎉\n   x"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_an_unknown_pre_tokenizer_is_refused_by_name_with_those_known() -> None:
    with pytest.raises(UnsupportedError, match=r"'klingon' is not supported; known are .*smollm"):
        load(bpe_metadata("klingon"))


def test_an_unknown_tokenizer_model_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="'bert'"):
        load({"tokenizer.ggml.model": "bert"})


def damaged(key: str, value: object) -> Callable[[Metadata], Metadata]:
    return lambda metadata: metadata | {f"tokenizer.ggml.{key}": value}


@pytest.mark.parametrize(
    "damage",
    [
        damaged("tokens", []),
        damaged("tokens", "text"),
        damaged("tokens", [1, 2, 3]),
        damaged("token_type", [1]),
        damaged("eos_token_id", "2"),
        damaged("bos_token_id", 1.5),
        damaged("merges", None),
        damaged("merges", ["a"]),
        damaged("merges", ["a b c"]),
        damaged("merges", [1]),
        damaged("merges", ["absent pieces"]),
    ],
)
def test_damaged_bpe_vocabularies_are_refused(damage: Callable[[Metadata], Metadata]) -> None:
    with pytest.raises(CheckpointError):
        load(damage(bpe_metadata()))


@pytest.mark.parametrize(
    "damage",
    [
        damaged("scores", []),
        damaged("scores", [1.0]),
        damaged("tokens", ["x" * 5000] * 270),
        damaged("unknown_token_id", True),
    ],
)
def test_damaged_spm_vocabularies_are_refused(damage: Callable[[Metadata], Metadata]) -> None:
    with pytest.raises(CheckpointError):
        load(damage(spm_metadata()))


def test_the_merge_cache_is_used_rebuilt_when_damaged_and_never_needed(tmp_path: Path) -> None:
    source = Source(spm_metadata())
    want = load(source.metadata).encode("hello hell")
    assert load_tokenizer(source, tmp_path / "cache").encode("hello hell") == want
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    for data in (b"", whole[:-1], whole[:60], b"x" + whole[1:], whole[:-4] + b"\xff\xff\xff\x7f", whole + b"12345678"):
        file.write_bytes(data)
        assert load_tokenizer(source, tmp_path / "cache").encode("hello hell") == want
        assert file.read_bytes() == whole
    (tmp_path / "file").write_text("not a folder")
    assert load_tokenizer(source, tmp_path / "file").encode("hello hell") == want


def test_the_merge_cache_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(spm_metadata())
    want = load_tokenizer(source, tmp_path).encode("hello hell")
    monkeypatch.setattr("undiced.text.gguf_spm.ranked_merges", lambda *_: pytest.fail("merges were computed again"))
    assert load_tokenizer(source, tmp_path).encode("hello hell") == want


def folder(path: Path, tokenizer: Tokenizer, **files: object) -> Source:
    """A Hugging Face folder with the engine of `tokenizer`."""
    (path / "tokenizer.json").write_text(tokenizer._engines[0].to_str(), "utf-8")
    for name, value in files.items():
        (path / f"{name}.json").write_text(json.dumps(value), "utf-8")
    return Source({"eos_token_id": [2]}, kind="hf", path=path)


def test_a_folder_equals_the_metadata_it_was_made_from(tmp_path: Path, bpe: Tokenizer, spm: Tokenizer) -> None:
    text = "hello <think> <|im_end|> the world 中 2024"
    for tokenizer in (bpe, spm):
        loaded = load_tokenizer(folder(tmp_path, tokenizer))
        for special in (False, True):
            ids = tokenizer.encode(text, special=special)
            assert loaded.encode(text, special=special) == ids
            assert loaded.decode(ids) == tokenizer.decode(ids)
        assert [loaded.token_bytes(i) for i in range(300)] == [tokenizer.token_bytes(i) for i in range(300)]
        assert (loaded.vocab_size, loaded.space_prefix) == (tokenizer.vocab_size, tokenizer.space_prefix)


def test_a_folder_names_its_roles(tmp_path: Path, bpe: Tokenizer) -> None:
    config = {"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|endoftext|>", "add_bos_token": True}
    loaded = load_tokenizer(folder(tmp_path, bpe, tokenizer_config=config, generation_config={"eos_token_id": [4, 5]}))
    assert (loaded.bos_id, loaded.add_bos, loaded.eos_ids) == (1, True, frozenset({0, 2, 4, 5}))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"model": {"type": "BPE"}}', "\x00" * 100])
def test_a_damaged_tokenizer_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text, "utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        load_tokenizer(Source({}, kind="hf", path=tmp_path))


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json"):
        load_tokenizer(Source({}, kind="hf", path=tmp_path))


def test_a_folder_with_another_kind_of_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    import tokenizers

    tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, "a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UnsupportedError, match="WordLevel"):
        load_tokenizer(Source({}, kind="hf", path=tmp_path))


@pytest.mark.parametrize("name", sorted(PRESPLITS))
def test_long_runs_do_not_hang(name: str) -> None:
    tokenizer = load(bpe_metadata(name))
    for unit in (" ", "a", "\n", "!", "1", "\u00a0", "'", "é", " a", "\n "):
        text = unit * (20_000 // len(unit)) + "x"
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.model
def test_golden_ids_of_the_default_model() -> None:
    """Ids of an independent implementation on 400 varied strings; tests/oracle/test_tokenizers.py writes them."""
    tokenizer = load_tokenizer(open_checkpoint(DEFAULT_MODEL))
    cases = json.loads((Path(__file__).parent / "golden_tokens.json").read_bytes())
    assert len(cases) == 400
    for text, plain, *special in cases:
        assert tokenizer.encode(text) == plain
        assert tokenizer.encode(text, special=True) == (special[0] if special else plain)
    assert (tokenizer.vocab_size, tokenizer.bos_id, tokenizer.eos_ids) == (49152, 1, frozenset({0, 2}))


@pytest.mark.model
def test_what_encodes_may_be_made_late_and_is_the_same() -> None:
    checkpoint = open_checkpoint(DEFAULT_MODEL)
    late = load_tokenizer(checkpoint, late=True)
    cases = json.loads((Path(__file__).parent / "golden_tokens.json").read_bytes())
    spelled = [late.token_bytes(token) for token in range(late.vocab_size)]
    assert "_engines" not in vars(late)  # nothing so far needed it
    checkpoint.close()  # nor does it need the file
    for text, plain, *special in cases:
        assert late.encode(text) == plain
        assert late.encode(text, special=True) == (special[0] if special else plain)
    eager = load_tokenizer(open_checkpoint(DEFAULT_MODEL))
    assert "_engines" in vars(eager)
    assert spelled == [eager.token_bytes(token) for token in range(eager.vocab_size)]
    assert late.id_of("<|im_end|>") == eager.id_of("<|im_end|>") == 2


def written(folder: Path, metadata: Metadata) -> Source:
    """The same metadata, read from a file."""
    kinds = {str: gguf_writer.STRING, bool: gguf_writer.BOOL, int: gguf_writer.U32}
    fields = [
        (key, gguf_writer.ARRAY, (kinds[type(item[0])], item))
        if isinstance(item, list)
        else (key, kinds[type(item)], item)
        for key, item in metadata.items()
    ]
    (folder / "m.gguf").write_bytes(gguf_writer.Gguf(fields=fields).bytes())
    return Source(open_checkpoint(folder / "m.gguf").metadata)


@pytest.mark.parametrize("empty", [False, True])
def test_a_file_with_and_without_empty_texts_can_be_late(tmp_path: Path, bpe: Tokenizer, empty: bool) -> None:
    metadata = bpe_metadata()
    if empty:  # ids of texts can't be found again then, so it is not late
        metadata["tokenizer.ggml.tokens"] += ["", ""]
        metadata["tokenizer.ggml.token_type"] += [1, 1]
    late = load_tokenizer(written(tmp_path, metadata), Path(os.devnull), late=True)
    for text in ("hello world", "the <think> <|im_end|>", "[EMPTY_271] é\n"):
        for special in (False, True):
            assert late.encode(text, special=special) == bpe.encode(text, special=special)


@pytest.mark.parametrize("merge", ["a b c", "Ġ", "no such"])
def test_merges_that_are_damaged_are_told_late_as_well(tmp_path: Path, merge: str) -> None:
    metadata = bpe_metadata()
    metadata["tokenizer.ggml.merges"] += [merge]
    source = written(tmp_path, metadata)
    late = load_tokenizer(source, Path(os.devnull), late=True)
    assert late.decode([4, 5]) == "\x00\x01"  # what decodes is there
    with pytest.raises(CheckpointError, match=r"not a pair|inconsistent"):
        late.encode("hello")
    with pytest.raises(CheckpointError, match=r"not a pair|inconsistent"):
        load_tokenizer(source, Path(os.devnull))
