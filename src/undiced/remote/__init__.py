"""The wire between the HTTP process and an engine process: frames and both their ends, and the life of that process.

`client` feeds streams, `supervisor` keeps a process running, `engine_process` is that process. Carries what `serve`
decides; holds no policy of sequences.
"""
