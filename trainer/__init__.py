"""Sampling, packing, loss, training and evaluation of the dual encoder."""
