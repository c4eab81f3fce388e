"""Mappings of models onto wafers: the published ones (`waferllm`, `waferengine`) and ours (`undiced`)."""
