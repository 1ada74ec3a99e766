"""Cohere: version 2 of its API, with floats, int8, packed bits, and an unknown model."""

from cohere import ClientV2, NotFoundError
from connection import KEY, MODEL, URL, message_of, print_vectors, read_texts

texts = read_texts()
client = ClientV2(api_key=KEY, base_url=URL)
unknown = {"model": "other", "texts": texts, "input_type": "search_query"}
message = message_of(NotFoundError, lambda: client.embed(**unknown, embedding_types=["float"]))
assert "'other' does not exist" in message, message
answer = client.embed(
    model=MODEL,
    texts=texts,
    input_type="search_document",
    embedding_types=["float", "int8", "uint8", "binary", "ubinary"],
)
floats = answer.embeddings.float_
for vector, packed in zip(floats, answer.embeddings.ubinary, strict=True):
    bits = "".join(f"{byte:08b}" for byte in packed)
    assert bits == "".join("1" if value > 0 else "0" for value in vector)
for kind in ("int8", "uint8", "binary"):
    assert len(getattr(answer.embeddings, kind)) == len(texts)
print_vectors(floats=floats)
