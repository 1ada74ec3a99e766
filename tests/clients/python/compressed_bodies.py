"""requests, httpx and aiohttp: compressed requests and, as they ask by default, responses."""

import asyncio
import gzip
import json

import aiohttp
import httpx
import requests
from connection import MODEL, OPENAI_URL, print_vectors, read_texts

texts = read_texts()
address = f"{OPENAI_URL}/embeddings"
# Enough for a response that is worth compressing.
document = {"model": MODEL, "input": texts * 8}
body = gzip.compress(json.dumps(document).encode())
headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}


def vectors(answer, headers):
    assert headers["Content-Encoding"] == "gzip", headers
    return [row["embedding"] for row in answer["data"]][: len(texts)]


async def by_aiohttp():
    async with (
        aiohttp.ClientSession() as session,
        session.post(address, json=document, compress="gzip") as answer,
    ):
        assert answer.status == 200, await answer.text()
        return vectors(await answer.json(), answer.headers)


by_requests = requests.post(address, data=body, headers=headers, timeout=60)
by_httpx = httpx.post(address, content=body, headers=headers, timeout=60)
refused = requests.post(address, data=b"", headers={"Content-Encoding": "br"}, timeout=60)
assert refused.status_code == 415, refused.text
print_vectors(
    requests=vectors(by_requests.json(), by_requests.headers),
    httpx=vectors(by_httpx.json(), by_httpx.headers),
    aiohttp=asyncio.run(by_aiohttp()),
)
