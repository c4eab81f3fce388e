"""The Messages API, as Anthropic's clients and Claude Code speak it: translated to a chat request and back."""
