"""The model: tokenizer, MPNet, reading and writing of weights, encoder, SavedModel."""

if __name__ != "rejoinder.models":
    raise ImportError("import rejoinder.models, not models")
