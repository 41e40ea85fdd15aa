"""Generators of candidate rows, one a file.

Each has `propose(model, tokenizer, budget, count, settings, seed, progress=None)`: `count` rows as dicts
(text, label, method, source_row, temperature, seed …), neither kept nor rejected yet, made from the labelled
budget alone, and the same ones for the same seed.
"""
