"""Chroma: its embedding functions for OpenAI and for Text Embeddings Inference."""

from chromadb.utils.embedding_functions import HuggingFaceEmbeddingServer, OpenAIEmbeddingFunction
from connection import KEY, MODEL, OPENAI_URL, URL, print_vectors, read_texts

texts = read_texts()
openai = OpenAIEmbeddingFunction(api_key=KEY, api_base=OPENAI_URL, model_name=MODEL)
server = HuggingFaceEmbeddingServer(url=f"{URL}/embed")
print_vectors(
    openai=[vector.tolist() for vector in openai(texts)],
    text_embeddings_inference=[vector.tolist() for vector in server(texts)],
)
