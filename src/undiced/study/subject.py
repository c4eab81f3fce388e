"""Subject: a model by its sizes, from a configuration's name, a config.json, a model folder or a checkpoint. No weights
are read. A file of a family that is not known is refused, never taken for another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from undiced.checkpoint.hub_fetch import sizes_from_hub
from undiced.checkpoint.hub_ref import hub_ref
from undiced.checkpoint.huggingface import folder_name
from undiced.core.documents import read_object
from undiced.core.errors import CheckpointError, ModelNotFoundError
from undiced.core.quote import file_name
from undiced.model import ModelConfig, config_of, preset
from undiced.model.registry import described
from undiced.study.program_file import magic

Progress = Callable[[float, str], None]  # share done from 0 to 1, what is being done
_CONFIG = "config.json"
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to ask about.

    Attributes:
        assumed: sizes that its config.json does not state, with what its family takes for them.
    """

    config: ModelConfig
    assumed: Mapping[str, object] = field(default_factory=dict)


def subject(model: str | Path | ModelConfig, progress: Progress | None = None) -> Subject:
    """The model that is meant. Of one at the hub its config.json is fetched, or its GGUF file, which `progress` hears.

    Raises:
        ModelNotFoundError: a name or a file that is not there.
        CheckpointError: a file that is damaged, or no model's.
        UnsupportedError: a family that is not known.
    """
    if isinstance(model, ModelConfig):
        return Subject(model)
    path, text = Path(model), str(model)
    if text.endswith(".json"):
        if not path.exists():
            raise ModelNotFoundError(f"There is no file {file_name(path)}.", remedy="Give a model's config.json.")
        return _described(path, _named(path))
    if not path.exists():
        hub = hub_ref(text)
        if hub is None:
            return Subject(preset(text))
        path = sizes_from_hub(hub, progress and (lambda done, total: progress(done / max(1, total), f"fetching {hub}")))
    if path.is_dir():
        return _folder(path)
    if path.suffix != ".gguf" and magic(path)[:4] != b"GGUF":
        raise CheckpointError(
            f"{text} is no compiled program and no checkpoint.",
            remedy="Name a compiled program, a .gguf file, a model folder or a config.json.",
        )
    return _checkpoint(path)


def _folder(path: Path) -> Subject:
    """By its config.json; by its tensors too, where it has any."""
    if not (path / _CONFIG).exists():
        return _checkpoint(path)
    found = _described(path / _CONFIG, folder_name(path))
    if any(next(path.glob(pattern), None) for pattern in _WEIGHTS):
        return Subject(_checkpoint(path).config, found.assumed)
    return found


def _named(path: Path) -> str:
    """What a configuration is called: as its file, or as the folder of a plain config.json."""
    folder = path.resolve().parent.name
    return folder if path.name == _CONFIG and folder else path.stem


def _described(path: Path, name: str) -> Subject:
    return Subject(*described(read_object(path)[0], name))


def _checkpoint(path: Path) -> Subject:
    from undiced.checkpoint import open_checkpoint

    return Subject(config_of(open_checkpoint(path)))
