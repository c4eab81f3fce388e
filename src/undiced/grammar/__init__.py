"""Structured output: schemas, regular expressions and grammars as masks over tokens and as forced tokens.

A thin layer over llguidance, with bounds of our own. Knows no model, no scheduler and no request.
"""

from undiced.grammar.form import Form, choice_form, json_form, lark_form, regex_form, schema_form
from undiced.grammar.matcher import LlGrammars, Vocabulary

__all__ = ["Form", "LlGrammars", "Vocabulary", "choice_form", "json_form", "lark_form", "regex_form", "schema_form"]
