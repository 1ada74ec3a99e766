"""The interfaces that clients speak: TensorFlow Serving's REST and gRPC, OpenAI's, search."""
