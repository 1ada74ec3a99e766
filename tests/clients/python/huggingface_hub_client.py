"""huggingface_hub: InferenceClient's embeddings and similarities."""

from connection import URL, print_vectors, read_texts
from huggingface_hub import InferenceClient

texts = read_texts()
client = InferenceClient(model=URL)
first, *others = texts
vectors = client.feature_extraction(texts)
found = InferenceClient(model=f"{URL}/similarity").sentence_similarity(first, others)
assert len(found) == len(others)
assert all(
    abs(cosine - float(vectors[0] @ vector)) < 1e-4
    for cosine, vector in zip(found, vectors[1:], strict=True)
)
print_vectors(
    root=vectors.tolist(),
    embed=InferenceClient(model=f"{URL}/embed").feature_extraction(texts).tolist(),
    truncated=client.feature_extraction(texts, truncate=True, normalize=True).tolist(),
)
