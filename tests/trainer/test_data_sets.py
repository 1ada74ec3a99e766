"""Draws against weights, and the first and last loss of each data set of a mixture."""

import json
from collections import Counter

import numpy as np
import tensorflow as tf

from rejoinder.trainer.data.layout import PaddedLayout
from rejoinder.trainer.data.records import Pairs, Ragged
from rejoinder.trainer.data.sampler import Batch
from rejoinder.trainer.data_sets import figures, loss_tag, losses, table_rows
from rejoinder.trainer.history import read_history
from rejoinder.trainer.progress import Progress
from rejoinder.trainer.throughput import Throughput

NAMES, WEIGHTS = ("reddit", "pairs/titles"), (3, 1)


def report(first, last, drawn=None):
    drawn = {"reddit": 60, "pairs/titles": 20} if drawn is None else drawn
    return figures(NAMES, WEIGHTS, drawn, first, last)


def test_a_loss_is_that_of_the_first_source_that_has_the_data_set():
    found = report(
        first=[{"loss_reddit": 5.0}, {"loss_reddit": 4.0, "loss_pairs_titles": 3.0}],
        last=[{"loss_pairs_titles": 1.0}, {"loss_reddit": 2.0, "loss_pairs_titles": 2.5}],
    )
    assert found == {
        "reddit": {"weight": 0.75, "pairs": 60, "first_loss": 5.0, "last_loss": 2.0},
        "pairs/titles": {"weight": 0.25, "pairs": 20, "first_loss": 3.0, "last_loss": 1.0},
    }
    assert losses(found, "last_loss") == {loss_tag(NAMES[0]): 2.0, loss_tag(NAMES[1]): 1.0}


def test_the_final_table_compares_draws_with_weights():
    found = report([{"loss_reddit": 5.0}], [{"loss_reddit": 4.0}], {"reddit": 60})
    assert table_rows(found) == [
        ("reddit", "60 pairs, 100.00% (weight 75.00%), loss 5.0000 -> 4.0000"),
        ("pairs/titles", "0 pairs, 0.00% (weight 25.00%)"),
    ]
    assert table_rows(figures(["one"], [1], {"one": 8}, [], [])) == []


def test_progress_keeps_the_last_loss_of_a_data_set_that_the_last_steps_did_not_draw(monkeypatch):
    monkeypatch.setattr("rejoinder.trainer.progress.format_line", lambda *_: "")
    progress = Progress(tf.Variable(0), 10)
    progress({"training_loss": 5.0, "loss_reddit": 5.0})
    progress({"training_loss": 4.0, "loss_titles": 6.0, "loss_reddit": 4.0})
    progress({"training_loss": 3.0, "loss_reddit": 3.0})
    assert progress.first_losses == {"loss_reddit": 5.0, "loss_titles": 6.0}
    assert progress.last_losses == {"loss_reddit": 3.0, "loss_titles": 6.0}


def test_pairs_are_counted_by_data_set_in_the_batch_of_all_replicas():
    texts = Ragged(np.tile(np.array([0, 9, 2], np.int32), 4), np.arange(0, 13, 3))
    batch = Batch(Pairs(texts, texts), np.array([1, 0, 1, 1], np.int32))
    total = Throughput()
    for _ in range(2):
        total.add_step(PaddedLayout(2, [8], 1).arrange(batch), NAMES)
    other = Throughput()
    other.add(total)
    assert (other.steps, other.pairs) == (2, 8)
    assert other.drawn == Counter({"reddit": 2, "pairs/titles": 6})


def test_a_resumed_run_continues_the_counts_and_losses_of_its_report(tmp_path):
    values = {
        **dict.fromkeys(("pairs_trained", "tokens", "token_positions", "cut_tokens"), 1),
        **dict.fromkeys(("training_seconds", "seconds", "first_loss", "last_loss"), 1.0),
        "steps": 4,
        "steps_counted": 4,
        "accuracy_in_batch": 0.5,
    }
    path = tmp_path / "training.json"
    path.write_text(json.dumps(values))  # of an older version
    assert read_history(str(tmp_path), 4).total.drawn == Counter()
    found = report([{"loss_reddit": 5.0}], [{"loss_reddit": 4.0}])
    path.write_text(json.dumps(values | {"by_data_set": found}))
    history = read_history(str(tmp_path), 4)
    assert history.total.drawn == Counter({"reddit": 60, "pairs/titles": 20})
    assert history.first_losses == {"loss_reddit": 5.0}
    assert history.last_losses == {"loss_reddit": 4.0}
