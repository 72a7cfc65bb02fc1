"""Tiny models of random weights, made on the spot, and media to show them: for tests and benchmarks.

`tests.tiny.models.model_folder("llama")` is a folder that vLLM and transformers load like any other; the models speak
no sense, and greedily always the same. `tests.tiny.media` makes images, sounds and films.
"""
