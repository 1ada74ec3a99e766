from itertools import pairwise

from rejoinder.evaluation.pairs import Pairs, select_pairs

ROWS = [(f"context {i % 40}", f"response {i}", "news", f"thread {i % 10}") for i in range(80)]


def test_the_order_does_not_depend_on_the_order_of_the_rows():
    assert select_pairs(ROWS, limit=100) == select_pairs(ROWS[::-1], limit=100)


def test_rows_of_one_thread_are_spread():
    threads = select_pairs(sorted(ROWS, key=lambda row: row[3]), limit=100).threads
    assert sum(a == b for a, b in pairwise(threads)) < 20


def test_a_seed_changes_the_order_and_a_limit_gives_a_prefix():
    full = select_pairs(ROWS, limit=100)
    assert select_pairs(ROWS, limit=100, seed=1).responses != full.responses
    assert select_pairs(ROWS, limit=7).responses == full.responses[:7]


def test_deduplicate_keeps_one_pair_of_each_context():
    pairs = select_pairs(ROWS, limit=100, deduplicate=True)
    assert len(pairs) == 40
    assert sorted(pairs.contexts) == sorted({row[0] for row in ROWS})


def test_earlier_turns_do_not_change_the_order():
    rows = [(*row, *(["before", "", "first"][: i % 3])) for i, row in enumerate(ROWS)]
    rows = [(*row, *[""] * (6 - len(row))) for row in rows]
    pairs, plain = select_pairs(rows, limit=100), select_pairs(ROWS, limit=100)
    assert (pairs.contexts, pairs.responses) == (plain.contexts, plain.responses)
    numbers = [int(text.split()[1]) for text in pairs.responses]
    assert pairs.earlier == [["before"] if i % 3 else [] for i in numbers]
    assert plain.earlier == []


def test_no_rows_give_no_pairs():
    assert len(select_pairs([], limit=5)) == 0


def test_groups_are_the_threads_if_all_are_known():
    assert Pairs(["a"], ["b"], [""], ["t"]).groups() == ["t"]
    assert Pairs(["a", "c"], ["b", "d"], ["", ""], ["t", ""]).groups() is None
