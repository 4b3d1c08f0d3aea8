"""Weights that others trained: BERT from four kinds of files, and the authors'.

`bert` reads text encoders, `reference` the released image encoder. Nothing
that a checkpoint holds is ever executed.
"""
