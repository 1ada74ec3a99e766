"""Pairs that share a text, also through other pairs, are one thread."""

import itertools
import json
import random

import numpy as np
import polars as pl
import pytest

from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.pipelines import pairs, verify
from rejoinder.pipelines.pair_files import links
from rejoinder.pipelines.pair_files.extractor import PairFiles, PairOptions

PICTURES = 40


def captions(picture):
    return [f"caption {number} of picture {picture}" for number in range(5)]


def rows():
    """All pairs of five captions of each picture, as in flickr30k_captions."""
    return [pair for p in range(PICTURES) for pair in itertools.combinations(captions(p), 2)]


def by_search(edges, count):
    """The smallest node that each node is connected with, by a search from each node."""
    neighbours = {node: {node} for node in range(count)}
    for one, two in edges:
        neighbours[one].add(two)
        neighbours[two].add(one)
    lowest = []
    for node in range(count):
        found, waiting = {node}, [node]
        while waiting:
            new = neighbours[waiting.pop()] - found
            found |= new
            waiting += new
        lowest.append(min(found))
    return lowest


@pytest.mark.parametrize("edges", [0, 10, 40, 80])
def test_components_are_those_of_a_search(edges):
    rng = np.random.default_rng(edges)
    nodes = rng.integers(0, 60, [2, edges])
    assert links.components(*nodes, 60).tolist() == by_search(nodes.T.tolist(), 60)


@pytest.mark.parametrize("order", ["rising", "falling", "shuffled"])
def test_a_long_chain_is_one_component(order):
    chain = np.arange(3000)
    if order == "shuffled":
        np.random.default_rng(0).shuffle(chain)
    chain = chain[::-1] if order == "falling" else chain
    assert not links.components(chain[:-1], chain[1:], 3000).any()


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture
def make(tmp_path, tokenizer_folder):
    def run(*inputs, output="out", arguments=("--keep-text",)):
        folder = str(tmp_path / output)
        paths = ["--input", *inputs, "--output", folder, "--tokenizer", tokenizer_folder]
        pairs.main([*paths, "--linked", "--quiet", *arguments])
        return folder

    return run


def test_all_pairs_of_a_picture_are_one_thread_in_one_split(tmp_path, make):
    folder = make(write(tmp_path / "a.jsonl", rows()), arguments=["--keep-text"])
    threads, splits = {}, {}
    for split in ("train", "test"):
        for example in reading.read_examples(folder, split):
            picture = example["context"].rpartition(" ")[2]
            assert example["response"].endswith(f" {picture}")
            threads.setdefault(picture, set()).add(example["thread_id"])
            splits.setdefault(picture, set()).add(split)
    assert len(threads) == len(set.union(*threads.values())) == PICTURES
    assert {len(found) for found in [*threads.values(), *splits.values()]} == {1}
    assert set.union(*splits.values()) == {"train", "test"}
    assert load_manifest(folder).options["linked"] is True
    assert list(verify.problems(folder)) == []


def test_the_train_split_has_threads_also_without_texts(tmp_path, make):
    folder = make(write(tmp_path / "a.jsonl", rows()), arguments=[])
    example = next(reading.read_examples(folder, "train"))
    assert sorted(example) == ["context_ids", "response_ids", "thread_id"]
    assert list(verify.problems(folder)) == []


def test_threads_do_not_depend_on_the_order_of_lines_or_files(tmp_path, make):
    shuffled = rows()
    random.Random(0).shuffle(shuffled)
    one = make(write(tmp_path / "a.jsonl", rows()), output="one")
    parts = [write(tmp_path / f"{n}.jsonl", shuffled[n::3]) for n in range(3)]
    two = make(*parts, output="two", arguments=["--keep-text", "--num-shards", "1"])
    three = make(*parts[::-1], output="three", arguments=["--keep-text", "--num-shards", "1"])
    assert load_manifest(two).splits == load_manifest(three).splits
    found = [
        {
            (e["context"], e["response"], e["thread_id"], split)
            for split in ("train", "test")
            for e in reading.read_examples(folder, split)
        }
        for folder in (one, two)
    ]
    assert found[0] == found[1]


def test_sizes_of_threads_are_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", [*rows(), ["alone", "with another"]])
    threads, sizes = links.find_threads(PairFiles(PairOptions()), [path], keep_damaged=False)
    assert sizes == (10 * PICTURES + 1, PICTURES + 1, 10)
    names = threads.of(pl.Series([*captions(3), "alone"]))
    assert names.n_unique() == 2
    assert set(names.str.len_chars()) == {16}


def test_too_many_texts_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(links, "_MOST_TEXTS", 5 * PICTURES - 1)
    path = write(tmp_path / "a.jsonl", rows())
    with pytest.raises(UserError, match=r"--linked: the pairs have 200 different texts, at most"):
        links.find_threads(PairFiles(PairOptions(linked=True)), [path], keep_damaged=False)


def test_a_file_without_pairs_has_no_threads(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n")
    path = str(tmp_path / "a.jsonl")
    _, sizes = links.find_threads(PairFiles(PairOptions()), [path], keep_damaged=False)
    assert sizes == (0, 0, 0)


def test_the_runner_of_a_cluster_is_refused(tmp_path, make):
    arguments = ["--runner=DataflowRunner", "--project=p", "--region=r", "--dry-run"]
    with pytest.raises(UserError, match=r"--linked: .*leave out --runner"):
        make(write(tmp_path / "a.jsonl", rows()), arguments=arguments)
