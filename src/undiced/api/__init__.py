"""The edge: HTTP, JSON, server-sent events and text. The only place that parses untrusted input."""
