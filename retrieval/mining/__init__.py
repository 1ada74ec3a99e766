"""Hard negatives: responses that are similar to a context and not its own."""
