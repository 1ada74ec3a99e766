"""openai: the default (base64 inside), floats, one text, asynchronous, and the list of models."""

import asyncio

from connection import KEY, MODEL, OPENAI_URL, message_of, print_vectors, read_texts
from openai import AsyncOpenAI, AuthenticationError, NotFoundError, OpenAI

texts = read_texts()
client = OpenAI(base_url=OPENAI_URL, api_key=KEY)


def vectors(answer):
    return [row.embedding for row in answer.data]


async def asynchronous():
    async with AsyncOpenAI(base_url=OPENAI_URL, api_key=KEY) as other:
        return vectors(await other.embeddings.create(model=MODEL, input=texts, user="somebody"))


assert [model.id for model in client.models.list()] == [MODEL]
assert client.models.retrieve(MODEL).owned_by
message = message_of(NotFoundError, lambda: client.embeddings.create(model="other", input="a"))
assert "'other' does not exist" in message, message
assert message_of(NotFoundError, lambda: client.chat.completions.create(model=MODEL, messages=[]))
assert message_of(AuthenticationError, client.with_options(api_key="wrong").models.list)

print_vectors(
    default=vectors(client.embeddings.create(model=MODEL, input=texts)),
    floats=vectors(client.embeddings.create(model=MODEL, input=texts, encoding_format="float")),
    one_by_one=[vectors(client.embeddings.create(model=MODEL, input=text))[0] for text in texts],
    asynchronous=asyncio.run(asynchronous()),
)
