"""The model: tokenizer, MPNet, dual encoder, weights in and out."""
