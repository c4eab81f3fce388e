"""`undiced models --configurations`: what can be simulated, by its published sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undiced.model import ModelConfig

_WIDE = 110  # columns in which all sizes have room


def list_configurations(as_json: bool) -> None:
    """Prints all of them; a packaged model that is one is named beside it."""
    from undiced.cli.terminal import Bar, emit
    from undiced.model import PRESETS

    found = []
    with Bar("Counting parameters", quiet=as_json) as bar:
        for done, config in enumerate(PRESETS.values()):
            bar.share(done / len(PRESETS), "")
            found.append(_row(config))
    emit(found) if as_json else _table(found)


def _row(config: ModelConfig) -> dict[str, object]:
    from undiced.model import build_config

    graph = build_config(config)
    return {
        "name": config.name,
        "family": config.family,
        "parameters": graph.parameters,
        "active_parameters": graph.active_parameters,
        **sizes(config),
        "experts_per_token": config.moe.top_k if config.moe else 0,
        "context": config.context,
    }


def sizes(config: ModelConfig) -> dict[str, int]:
    """Those that configurations and models are told apart by."""
    return {
        "layers": config.layers,
        "dim": config.dim,
        "heads": config.heads,
        "kv_heads": config.kv_heads,
        "ffn": config.ffn,
        "experts": config.moe.experts if config.moe else 0,
        "vocab": config.vocab,
    }


def _table(found: list[dict[str, object]]) -> None:
    from rich.table import Table

    from undiced.cli.terminal import table_console

    console = table_console(highlight=False)
    shapes = ("DIM", "HEADS", "KV", "FFN") if console.width >= _WIDE else ()  # --json has them, too
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAME", "FAMILY", "PARAMETERS", "ACTIVE", "LAYERS", *shapes, "EXPERTS", "CONTEXT"):
        grid.add_column(column, justify="left" if column in ("NAME", "FAMILY") else "right", no_wrap=True)
    for each in found:
        names = ("dim", "heads", "kv_heads", "ffn")[: len(shapes)]
        counts = (billions(float(str(each[name]))) for name in ("parameters", "active_parameters"))
        grid.add_row(
            str(each["name"]),
            str(each["family"]),
            *counts,
            *(f"{each[name]:,}" for name in ("layers", *names)),
            f"{each['experts_per_token']} of {each['experts']}" if each["experts"] else "-",
            f"{int(str(each['context'])) // 1024:,}k",
        )
    console.print(grid)


def billions(count: float) -> str:
    """A number of parameters, for people."""
    return f"{count / 1e9:.3g} B" if count >= 0.9995e9 else f"{count / 1e6:.0f} M"
