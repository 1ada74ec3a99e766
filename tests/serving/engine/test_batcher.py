"""Batching without TensorFlow: shared batches, failures, refusals."""

import asyncio
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from rejoinder.serving.engine.batcher import Batcher
from rejoinder.serving.errors import ServingError
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics

POISON = 666  # an id on which the fake model fails


class FakeVersion:
    """Embeds a row as [first id, length]; fails on a batch that contains `POISON`."""

    manifest = SimpleNamespace(dimension=2)

    def __init__(self, measured=()):
        self.measured = measured
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()

    def encode(self, rows):
        self.gate.wait(10)
        self.batches.append([int(row[0]) for row in rows])
        if any(row[0] == POISON for row in rows):
            raise RuntimeError("poison")
        return np.array([[row[0], len(row)] for row in rows], np.float32), sum(map(len, rows))


def row(first, length=3):
    return np.array([first] + [1] * (length - 1), np.int32)


def make(workers=1, **limits):
    return Batcher(Limits(**limits), Metrics(), workers=workers)


async def blocked(batcher, version, *requests):
    """Starts requests while the only worker is blocked, so that they are queued."""
    version.gate.clear()
    first = asyncio.ensure_future(batcher.encode(version, [row(0)]))
    await asyncio.sleep(0.02)
    tasks = [asyncio.ensure_future(batcher.encode(version, rows)) for rows in requests]
    await asyncio.sleep(0.02)
    return first, tasks


def test_concurrent_requests_of_all_lengths_share_a_batch():
    async def scenario():
        batcher, version = make(), FakeVersion()
        first, tasks = await blocked(batcher, version, [row(1)], [row(2, 20), row(3)], [row(4, 20)])
        version.gate.set()
        results = await asyncio.gather(first, *tasks)
        return results, version.batches

    results, batches = asyncio.run(scenario())
    assert [r.tolist() for r in results] == [[[0, 3]], [[1, 3]], [[2, 20], [3, 3]], [[4, 20]]]
    assert batches == [[0], [1, 2, 4, 3]]


def test_a_batch_stays_within_its_tokens():
    async def scenario():
        batcher, version = make(max_batch_tokens=64), FakeVersion()
        out = await batcher.encode(version, [row(i, 30) for i in range(5)])
        return out, version.batches

    out, batches = asyncio.run(scenario())
    assert out[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert batches == [[0, 1], [2, 3], [4]]


def test_a_row_longer_than_a_batch_runs_alone():
    async def scenario():
        batcher, version = make(max_batch_tokens=8), FakeVersion()
        await batcher.encode(version, [row(1, 20), row(2)])
        return version.batches

    assert asyncio.run(scenario()) == [[1], [2]]


def test_one_text_does_not_wait_behind_a_request_of_many():
    async def scenario():
        batcher, version = make(max_batch_tokens=12), FakeVersion()
        first, tasks = await blocked(batcher, version, [row(i) for i in range(1, 9)], [row(50)])
        version.gate.set()
        await asyncio.gather(first, *tasks)
        return version.batches

    assert asyncio.run(scenario()) == [[0], [1, 50, 2, 3], [4, 5, 6, 7], [8]]


def test_versions_take_turns_and_never_share_a_batch():
    async def scenario():
        batcher, old, new = make(max_batch_tokens=3), FakeVersion(), FakeVersion()
        first, tasks = await blocked(batcher, old, [row(1), row(2)])
        tasks.append(asyncio.ensure_future(batcher.encode(new, [row(3), row(4)])))
        await asyncio.sleep(0.02)
        order = []
        for version in (old, new):
            version.batches = order
        old.gate.set()
        await asyncio.gather(first, *tasks)
        return order

    assert asyncio.run(scenario()) == [[0], [1], [3], [2], [4]]


def test_a_faulty_request_fails_alone():
    async def scenario():
        batcher, version = make(), FakeVersion()
        first, tasks = await blocked(batcher, version, [row(1)], [row(POISON), row(2)], [row(3)])
        version.gate.set()
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)

    good, bad, also_good = asyncio.run(scenario())
    assert isinstance(bad, ServingError)
    assert bad.message == "the model failed on this input"
    assert [good.tolist(), also_good.tolist()] == [[[1, 3]], [[3, 3]]]


def test_queued_rows_of_a_cancelled_request_are_not_computed():
    async def scenario():
        batcher, version = make(), FakeVersion()
        first, (gone, stays) = await blocked(batcher, version, [row(1, 20)], [row(2)])
        gone.cancel()
        await asyncio.sleep(0)
        version.gate.set()
        await asyncio.gather(first, stays)
        return version.batches

    assert asyncio.run(scenario()) == [[0], [2]]


def test_a_full_queue_refuses_with_the_time_to_retry_after():
    async def scenario():
        batcher, version = make(max_queue_tokens=6), FakeVersion()
        first, tasks = await blocked(batcher, version, [row(1), row(2)])
        with pytest.raises(ServingError, match="overloaded") as error:
            await batcher.encode(version, [row(3)])
        version.gate.set()
        await asyncio.gather(first, *tasks)
        await batcher.encode(version, [row(3)])
        return error.value

    error = asyncio.run(scenario())
    assert (error.code.http, error.headers) == (429, {"Retry-After": "1"})


# A batch of three tokens takes three seconds, as measured on a very slow machine.
SLOW = [(1, 1.0), (3, 3.0)]


def test_the_expected_wait_refuses_before_the_queue_is_full():
    async def scenario():
        batcher = make(max_queue_seconds=0.5, max_batch_tokens=3)
        version = FakeVersion(SLOW)
        first, _ = await blocked(batcher, version, [row(1)])
        assert batcher.expected_wait(version, 1) == pytest.approx(3.0)
        with pytest.raises(ServingError) as error:
            await batcher.encode(version, [row(2)])
        version.gate.set()
        await first
        return error.value

    assert asyncio.run(scenario()).headers == {"Retry-After": "3"}  # 2.5 s


def test_one_row_beside_a_thousand_is_expected_to_wait_for_one_and_a_thousand_for_all():
    async def scenario():
        batcher, version = make(max_batch_tokens=3), FakeVersion(SLOW)
        first, _ = await blocked(batcher, version, [row(1)] * 1000)
        waits = [batcher.expected_wait(version, count) for count in (1, 10, 1000, 5000)]
        with pytest.raises(ServingError) as error:
            await batcher.encode(version, [row(2)] * 10)
        lone = asyncio.ensure_future(batcher.encode(version, [row(7)]))
        await asyncio.sleep(0)
        version.gate.set()
        await asyncio.gather(first, lone)
        return waits, error.value.headers, version.batches.index([7])

    waits, headers, batch = asyncio.run(scenario())
    assert waits == pytest.approx([3, 30, 3000, 3000])
    assert headers == {"Retry-After": "25"}
    assert batch == 2


def test_a_cancelled_request_of_a_thousand_rows_delays_nobody():
    async def scenario():
        batcher, version = make(max_queue_tokens=100), FakeVersion(SLOW)
        first, (bulk,) = await blocked(batcher, version, [row(1)] * 1000)
        bulk.cancel()
        await asyncio.sleep(0)
        assert batcher.expected_wait(version, 1000) == 0
        second = asyncio.ensure_future(batcher.encode(version, [row(2)]))
        await asyncio.sleep(0)
        version.gate.set()
        await asyncio.gather(first, second)
        return version.batches

    assert asyncio.run(scenario()) == [[0], [2]]


def test_clients_take_turns_however_many_requests_they_have(monkeypatch):
    async def scenario():
        batcher, version = make(max_batch_tokens=6), FakeVersion()

        def request(client, first):
            monkeypatch.setattr("rejoinder.serving.engine.batcher.current_client", lambda: client)
            return asyncio.ensure_future(batcher.encode(version, [row(first)]))

        version.gate.clear()
        tasks = []
        for client, first in [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 9), ("b", 10)]:
            tasks.append(request(client, first))
            await asyncio.sleep(0.01)
        version.gate.set()
        await asyncio.gather(*tasks)
        return version.batches

    assert asyncio.run(scenario()) == [[0], [1, 9], [2, 10], [3]]


def test_a_version_waits_for_one_batch_of_another_before_each_of_its_own():
    async def scenario():
        batcher, old, new = make(max_batch_tokens=3), FakeVersion(SLOW), FakeVersion(SLOW)
        first, _ = await blocked(batcher, old, [row(1)] * 100)
        waits = batcher.expected_wait(new, 1), batcher.expected_wait(old, 1)
        old.gate.set()
        await first
        return waits

    assert asyncio.run(scenario()) == pytest.approx((3, 3))


def test_a_request_that_waited_too_long_is_refused_when_its_turn_comes():
    async def scenario():
        batcher, version = make(max_queue_seconds=0.2), FakeVersion()
        first, (late,) = await blocked(batcher, version, [row(1)])
        await asyncio.sleep(0.3)
        fresh = asyncio.ensure_future(batcher.encode(version, [row(2)]))
        await asyncio.sleep(0)
        version.gate.set()
        await asyncio.gather(first, fresh)
        with pytest.raises(ServingError, match="overloaded") as error:
            await late
        return error.value, version.batches

    error, batches = asyncio.run(scenario())
    assert error.headers == {"Retry-After": "1"}
    assert batches == [[0], [2]]


def test_a_request_that_has_begun_is_finished_even_if_slow():
    async def scenario():
        batcher, version = make(max_queue_seconds=0.2, max_batch_tokens=3), FakeVersion()
        first, (bulk,) = await blocked(batcher, version, [row(i) for i in range(1, 5)])
        encode = version.encode

        def slow(rows):
            time.sleep(0.1)
            return encode(rows)

        version.encode = slow
        version.gate.set()
        await first
        return (await bulk)[:, 0].tolist()

    assert asyncio.run(scenario()) == [1, 2, 3, 4]


def test_no_rows_give_an_empty_result():
    assert asyncio.run(make().encode(FakeVersion(), [])).shape == (0, 2)
