"""`undiced show`: what a model is, read from its files alone: no weights are loaded and nothing is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import HUB, Json, Revision

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint


def show(
    name: Annotated[
        str, typer.Argument(help=f"A catalog name, a GGUF file, a Hugging Face folder, or {HUB}.", metavar="NAME")
    ],
    revision: Revision = None,
    template: Annotated[bool, typer.Option("--template", help="Print the chat template alone.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a model is: sizes, template, license, place. Also its quantization, context and sampling numbers."""
    from undiced.checkpoint import at_revision, open_checkpoint, to_fetch
    from undiced.cli.terminal import emit
    from undiced.core.errors import ModelNotFoundError
    from undiced.core.printable import printable

    name = at_revision(name, revision)
    if missing := to_fetch(name):
        raise ModelNotFoundError(f"{missing} is not fetched yet.", remedy=f"Run `undiced pull {missing}` first.")
    facts = _facts(open_checkpoint(name, offline=True))
    if as_json:
        emit({"requested": name, **facts})
    elif template:
        typer.echo(printable(str(facts["chat_template"] or "")))
    else:
        _print(facts)


def _facts(checkpoint: Checkpoint) -> dict[str, object]:
    from undiced.checkpoint import bytes_by_format, kept_by_format, own_sampling
    from undiced.checkpoint.license import license_of
    from undiced.cli.configurations import sizes
    from undiced.model import build_config, config_of
    from undiced.text import load_chat_template

    config, template = config_of(checkpoint), load_chat_template(checkpoint)
    formats, kept = bytes_by_format(checkpoint), kept_by_format(checkpoint)
    return {
        "name": checkpoint.name,
        "kind": checkpoint.kind,
        "path": str(checkpoint.path.absolute()),
        "bytes": sum(formats.values()),
        "family": config.family,
        "parameters": build_config(config).parameters,
        "quantization": formats,
        "resident_bytes": sum(kept.values()),
        "resident": kept,
        "notes": list(checkpoint.notes),
        "context": config.context,
        **sizes(config),
        "chat_template": None if template is None else template.source,
        "sampling": own_sampling(checkpoint),
        "license": license_of(checkpoint),
    }


def _print(facts: dict[str, object]) -> None:
    import shutil
    import textwrap

    from undiced.core.printable import printable

    layout = textwrap.TextWrapper(
        shutil.get_terminal_size().columns,
        subsequent_indent=" " * _LABEL,
    )
    for label, words in _lines(facts):
        line = f"{label:<{_LABEL}}{printable(words)}"
        typer.echo(line if label == "path" else layout.fill(line))  # a path is copied as it stands


def _lines(facts: dict[str, object]) -> list[tuple[str, str]]:
    """(what, its value in words), for people."""
    from undiced.cli.configurations import billions
    from undiced.cli.terminal import megabytes

    sampling, template, notes = facts["sampling"], facts["chat_template"], facts["notes"]
    assert isinstance(sampling, dict) and isinstance(notes, list)
    sizes = ", ".join(f"{label} {facts[key]:,}" for key, label in _SIZES.items() if facts[key])
    return [
        ("name", str(facts["name"])),
        ("family", str(facts["family"])),
        ("parameters", billions(float(str(facts["parameters"])))),
        ("weights", f"{megabytes(float(str(facts['bytes'])))} ({_shares(facts['quantization'])})"),
        ("in memory", f"{megabytes(float(str(facts['resident_bytes'])))} ({_shares(facts['resident'])})"),
        *(("note", note) for note in notes),
        ("sizes", sizes),
        ("context", f"{facts['context']:,} tokens"),
        ("chat template", f"{len(str(template)):,} characters; --template prints it" if template else "none"),
        ("sampling", ", ".join(f"{name} {number:g}" for name, number in sampling.items()) or "none of its own"),
        ("license", str(facts["license"] or "not stated")),
        ("path", str(facts["path"])),
    ]


def _shares(formats: object) -> str:
    from undiced.cli.terminal import megabytes

    assert isinstance(formats, dict)
    return ", ".join(f"{name} {megabytes(nbytes)}" for name, nbytes in formats.items())


_LABEL = 15  # columns
_SIZES = {
    "layers": "layers",
    "dim": "width",
    "heads": "heads",
    "kv_heads": "KV heads",
    "ffn": "feed-forward",
    "experts": "experts",
    "vocab": "vocabulary",
}
