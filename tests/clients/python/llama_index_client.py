"""LlamaIndex: its OpenAI embeddings, and its client of Text Embeddings Inference."""

from connection import KEY, MODEL, OPENAI_URL, URL, print_vectors, read_texts
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference

texts = read_texts()
uses = {
    "openai": OpenAIEmbedding(model_name=MODEL, api_base=OPENAI_URL, api_key=KEY),
    "openai_like": OpenAILikeEmbedding(model_name=MODEL, api_base=OPENAI_URL, api_key=KEY),
    "text_embeddings_inference": TextEmbeddingsInference(model_name=MODEL, base_url=URL),
}
print_vectors(**{name: model.get_text_embedding_batch(texts) for name, model in uses.items()})
