"""Text in, token ids out, and back: tokenizers, chat templates, incremental detokenization, stop strings.

Importing it is light: its names are loaded on first use, `tokenizers` when something is loaded, `jinja2` in a process
of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.core.late import late

if TYPE_CHECKING:
    from undiced.text.fold import Fold as Fold
    from undiced.text.fold import FoldOptions as FoldOptions
    from undiced.text.fold import Piece as Piece
    from undiced.text.prompt import ChatEncoder as ChatEncoder
    from undiced.text.prompt import PromptOptions as PromptOptions
    from undiced.text.template import ChatTemplate as ChatTemplate
    from undiced.text.template import load_chat_template as load_chat_template
    from undiced.text.thinking import Thinking as Thinking
    from undiced.text.tokenizer import Tokenizer as Tokenizer
    from undiced.text.tokenizer import load_tokenizer as load_tokenizer

_HOMES = {
    "Fold": "fold",
    "FoldOptions": "fold",
    "Piece": "fold",
    "ChatEncoder": "prompt",
    "PromptOptions": "prompt",
    "ChatTemplate": "template",
    "load_chat_template": "template",
    "Thinking": "thinking",
    "Tokenizer": "tokenizer",
    "load_tokenizer": "tokenizer",
}
__all__ = list(_HOMES)
__getattr__ = late(__name__, _HOMES)
