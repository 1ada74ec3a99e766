"""Request and response formats: TensorFlow Serving's REST and gRPC, OpenAI's, and search."""
