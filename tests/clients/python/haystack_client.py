"""Haystack: the embedder of texts and the embedder of documents."""

from connection import KEY, MODEL, OPENAI_URL, print_vectors, read_texts
from haystack import Document
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.utils import Secret

texts = read_texts()
options = {"model": MODEL, "api_base_url": OPENAI_URL, "api_key": Secret.from_token(KEY)}
of_texts = OpenAITextEmbedder(**options)
of_documents = OpenAIDocumentEmbedder(**options, progress_bar=False)
documents = of_documents.run([Document(content=text) for text in texts])["documents"]
print_vectors(
    texts=[of_texts.run(text)["embedding"] for text in texts],
    documents=[document.embedding for document in documents],
)
