"""Model families, one per file: how each names its tensors and writes its configuration. The registry is a dict."""
