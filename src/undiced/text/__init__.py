"""Text in, token ids out, and back: tokenizers, chat templates, incremental detokenization, stop strings.

Importing it is light: `tokenizers` is imported when something is loaded, `jinja2` in a process of its own.
"""

from undiced.text.fold import Fold, FoldOptions, Piece
from undiced.text.prompt import ChatEncoder, PromptOptions
from undiced.text.template import ChatTemplate, load_chat_template
from undiced.text.thinking import Thinking
from undiced.text.tokenizer import Tokenizer, load_tokenizer

__all__ = [
    "ChatEncoder",
    "ChatTemplate",
    "Fold",
    "FoldOptions",
    "Piece",
    "PromptOptions",
    "Thinking",
    "Tokenizer",
    "load_chat_template",
    "load_tokenizer",
]
