"""The model: tokenizer, MPNet, weights in and out, the encoder, the SavedModel."""

if __name__ != "rejoinder.models":
    raise ImportError("import rejoinder.models, not models")
