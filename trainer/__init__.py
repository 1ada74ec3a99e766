"""Sampling, packing, loss, training and evaluation of the dual encoder."""

if __name__ != "rejoinder.trainer":
    raise ImportError("import rejoinder.trainer, not trainer")
