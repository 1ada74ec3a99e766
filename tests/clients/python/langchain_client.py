"""LangChain: by default it sends token ids of OpenAI's vocabulary, which are refused."""

import tiktoken.registry
from connection import KEY, MODEL, OPENAI_URL, message_of, print_vectors, read_texts
from langchain_openai import OpenAIEmbeddings
from openai import BadRequestError

# Bytes in place of the vocabulary that tiktoken would download: other ids, sent in the same way.
tiktoken.registry.ENCODINGS["cl100k_base"] = tiktoken.Encoding(
    "cl100k_base",
    pat_str=r"\S+|\s+",
    mergeable_ranks={bytes([value]): value for value in range(256)},
    special_tokens={},
)

texts = read_texts()
options = {"model": MODEL, "base_url": OPENAI_URL, "api_key": KEY}
default = OpenAIEmbeddings(**options)
message = message_of(BadRequestError, lambda: default.embed_documents(texts))
assert "check_embedding_ctx_length=False" in message, message

client = OpenAIEmbeddings(**options, check_embedding_ctx_length=False)
print_vectors(
    documents=client.embed_documents(texts),
    queries=[client.embed_query(text) for text in texts],
)
