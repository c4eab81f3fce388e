"""OpenAI's Responses format: a body of its own, translated to a chat request, and events of its own."""
