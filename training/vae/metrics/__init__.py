"""Numbers about a text VAE, from arrays and strings alone: whoever calls them runs the models.

A share or a ratio of nothing (no texts, no n-grams) is null, never 0 or 1.
"""
