"""Each epoch contains every example once, in windows of bounded size."""

import numpy as np
import pytest

from rejoinder.trainer.data.order import Order

SIZES = (30, 0, 25, 41, 7, 60, 12)


def numbers(order: Order, position: int, count: int) -> list[int]:
    """Returns the corpus-wide number of each example at the given positions."""
    starts = np.concatenate([[0], np.cumsum(order.sizes)])
    found: list[int] = []
    for window, rows in order.slices(position, count):
        members = np.concatenate([starts[s] + np.arange(order.sizes[s]) for s in window.shards])
        found += members[order.rows(window)[rows]].tolist()
    return found


@pytest.mark.parametrize("window", [1, 50, 10_000])
def test_each_epoch_holds_every_example_once(window):
    order = Order(SIZES, window, ("seed",))
    total = sum(SIZES)
    for epoch in range(3):
        assert sorted(numbers(order, epoch * total, total)) == list(range(total))


def test_epochs_differ():
    order = Order(SIZES, 50, ("seed",))
    assert numbers(order, 0, sum(SIZES)) != numbers(order, sum(SIZES), sum(SIZES))


def test_any_position_is_computed_without_the_earlier_ones():
    order = Order(SIZES, 50, ("seed",))
    everything = numbers(order, 0, 3 * sum(SIZES))
    for position, count in [(0, 1), (10, 100), (174, 2), (175, 1), (300, 200)]:
        assert numbers(order, position, count) == everything[position : position + count]


def test_windows_are_bounded_by_size_and_one_shard():
    order = Order(SIZES, 50, ("seed",))
    for epoch in range(5):
        for window in order.windows(epoch):
            assert window.size < 50 + max(SIZES)


def test_unshuffled_keeps_the_corpus_order():
    assert numbers(Order(SIZES, 1, ("x",), shuffle=False), 0, sum(SIZES)) == list(range(sum(SIZES)))
