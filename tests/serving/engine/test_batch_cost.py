"""The predicted seconds of batches, against costs with a known fixed part."""

import random

import pytest

from rejoinder.serving.engine.batch_cost import BatchCost

FIXED, FULL, TOKENS = 0.02, 0.2, 512


def cost(tokens):
    return FIXED + FULL * tokens / TOKENS


MEASURED = [(4, cost(4)), (512, cost(512))]


def test_without_measurements_a_batch_takes_no_time():
    assert BatchCost(TOKENS).seconds(10_000) == 0


def test_two_measurements_predict_all_batches():
    learned = BatchCost(TOKENS, MEASURED)
    assert learned.seconds(512) == pytest.approx(cost(512))
    assert learned.seconds(512 * 40) == pytest.approx(40 * cost(512))


def test_batches_of_all_sizes_teach_both_parts():
    draw = random.Random(0)
    learned = BatchCost(TOKENS)
    for _ in range(300):
        tokens = draw.choice([2, 5, 20, 100, 400, 512])
        learned.observe(tokens, cost(tokens) * draw.uniform(0.9, 1.1))
    for tokens in (2, 50, 512):
        assert learned.seconds(tokens) == pytest.approx(cost(tokens), rel=0.2)


def test_tiny_batches_do_not_change_the_estimate_of_full_ones():
    learned = BatchCost(TOKENS, MEASURED)
    for _ in range(1000):
        learned.observe(4, cost(4))
    assert learned.seconds(512) == pytest.approx(cost(512), rel=0.15)


def test_one_pause_changes_little_and_a_slower_machine_is_learned():
    learned = BatchCost(TOKENS, MEASURED)
    learned.observe(512, 100.0)
    assert learned.seconds(512) < 1.3 * cost(512)
    for _ in range(40):
        learned.observe(512, 5 * cost(512))
    assert learned.seconds(512) == pytest.approx(5 * cost(512), rel=0.1)
