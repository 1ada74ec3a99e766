"""The exported model: one versioned SavedModel folder that any TensorFlow Serving loads."""
