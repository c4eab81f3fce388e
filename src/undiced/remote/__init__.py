"""The wire between the HTTP process and an engine process: frames, the client, the engine process itself.

Carries what `serve` decides; holds no policy of sequences.
"""
