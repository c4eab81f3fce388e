"""How models write thoughts and calls of functions: a file per format, and the choice among them."""

from undiced.text.formats.calls import Tool
from undiced.text.formats.dialect import FORMATS, THOUGHTS, Dialect, Thinks, check_names, dialect_of
from undiced.text.formats.tape import Reader, TapeOptions

__all__ = ["FORMATS", "THOUGHTS", "Dialect", "Reader", "TapeOptions", "Thinks", "Tool", "check_names", "dialect_of"]
