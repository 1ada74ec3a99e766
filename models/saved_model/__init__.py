"""The exported model: a versioned SavedModel folder for TensorFlow Serving."""
