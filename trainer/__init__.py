"""Training of the dual encoder: data order, packing, loss, steps and checkpoints."""

if __name__ != "rejoinder.trainer":
    raise ImportError("import rejoinder.trainer, not trainer")
