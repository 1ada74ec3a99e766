"""Texts of concurrent requests share calls of the tokenizer, within a number of bytes."""

import asyncio

import numpy as np
import pytest

from rejoinder.serving.engine import tokenizing
from rejoinder.serving.engine.tokenizing import TokenizingStage


class CountingVersion:
    """Gives each text its length as its only token, and records the calls."""

    def __init__(self) -> None:
        self.calls: list[list[bytes]] = []

    def tokenize(self, texts):
        self.calls.append(list(texts))
        return [np.array([len(text)], np.int32) for text in texts], np.zeros(len(texts), np.bool_)


@pytest.fixture
def stage():
    made = TokenizingStage()
    yield made
    made.close()


def lengths(tokens):
    return [int(row[0]) for row in tokens.rows]


def test_requests_that_arrive_together_share_a_call(stage):
    version = CountingVersion()

    async def run():
        return await asyncio.gather(*(stage.tokenize(version, [b"x" * n]) for n in (1, 2, 3)))

    assert list(map(lengths, asyncio.run(run()))) == [[1], [2], [3]]
    assert version.calls == [[b"x", b"xx", b"xxx"]]


def test_a_call_has_a_bounded_number_of_bytes_and_a_larger_request_is_alone(stage, monkeypatch):
    monkeypatch.setattr(tokenizing, "_CALL_BYTES", 10)
    version = CountingVersion()

    async def run():
        sizes = ([4], [4], [4], [20, 20], [1])
        requests = (stage.tokenize(version, [b"x" * n for n in size]) for size in sizes)
        return await asyncio.gather(*requests)

    assert list(map(lengths, asyncio.run(run()))) == [[4], [4], [4], [20, 20], [1]]
    assert [[len(text) for text in call] for call in version.calls] == [[4, 4], [4], [20, 20], [1]]


def test_a_cancelled_request_is_not_tokenized(stage, monkeypatch):
    monkeypatch.setattr(tokenizing, "_CALL_BYTES", 1)
    version = CountingVersion()

    async def run():
        requests = [
            asyncio.ensure_future(stage.tokenize(version, [text])) for text in (b"a", b"bb")
        ]
        await asyncio.sleep(0)
        requests[1].cancel()
        return lengths(await requests[0])

    assert asyncio.run(run()) == [1]
    assert version.calls == [[b"a"]]


def test_other_versions_have_their_turn_between_the_calls_of_a_bulk(stage, monkeypatch):
    monkeypatch.setattr(tokenizing, "_CALL_BYTES", 1)
    bulk, lone, order = CountingVersion(), CountingVersion(), []

    async def one(name, version):
        await stage.tokenize(version, [b"x"])
        order.append(name)

    async def run():
        await asyncio.gather(*(one("bulk", bulk) for _ in range(3)), one("lone", lone))

    asyncio.run(run())
    assert order == ["bulk", "lone", "bulk", "bulk"]


def test_a_lone_text_is_tokenized_between_the_parts_of_a_bulk(stage, monkeypatch):
    monkeypatch.setattr(tokenizing, "_PART_BYTES", 4)
    version, order = CountingVersion(), []

    async def one(name, texts):
        found = await stage.tokenize(version, texts)
        order.append(name)
        return lengths(found)

    async def run():
        sizes = [2, 2, 3, 9, 1, 1]
        return await asyncio.gather(one("bulk", [b"x" * n for n in sizes]), one("lone", [b"y"]))

    assert asyncio.run(run()) == [[2, 2, 3, 9, 1, 1], [1]]
    assert order == ["lone", "bulk"]
    calls = [[len(text) for text in call] for call in version.calls]
    assert calls == [[2, 2, 1], [3], [9], [1, 1]]
