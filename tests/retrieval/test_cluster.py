"""`rejoinder cluster` on vectors around known centres."""

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from rejoinder.errors import UserError
from rejoinder.retrieval.cluster import cluster, main
from rejoinder.retrieval.index import SearchIndex
from rejoinder.retrieval.index_builder import build

DIMENSION = 24
SIZES = (150, 100, 50)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An index of three groups, shuffled, in segments of at most 120 texts."""
    rng = np.random.default_rng(0)
    kinds = rng.permutation(np.repeat([0, 1, 2], SIZES))
    noise = rng.normal(size=(len(kinds), DIMENSION))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    vectors = (np.eye(DIMENSION)[kinds] + 0.1 * noise).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = pa.table({"text": [f"kind {kind} text {row}" for row, kind in enumerate(kinds)]})
    path = str(tmp_path_factory.mktemp("index"))
    build(path, [(texts, vectors)], model="m", source="s", segment_bytes=120 * DIMENSION * 2)
    return path


def test_clusters_are_the_groups_that_the_texts_were_drawn_from(folder):
    groups = cluster(SearchIndex(folder), 3)
    assert tuple(group.texts for group in groups) == SIZES
    for kind, group in enumerate(groups):
        assert len(group.examples) == 5
        assert all(text.startswith(f"kind {kind} ") for text in group.examples)
        assert 0.9 < group.cohesion <= 1


def test_there_may_be_more_clusters_than_texts_in_a_segment(folder):
    index = SearchIndex(folder)
    assert max(segment.rows for segment in index.segments) < 200
    groups = cluster(index, 200)
    assert sum(group.texts for group in groups) == sum(SIZES)


@pytest.mark.parametrize("clusters", [0, 301])
def test_an_impossible_number_of_clusters_is_an_error(folder, clusters):
    with pytest.raises(UserError, match="--clusters must be 1 to 300"):
        cluster(SearchIndex(folder), clusters)


def test_the_command_prints_groups_and_what_to_run_next(folder, capsys):
    assert main(["--index", folder, "--clusters", "3", "--examples", "2"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split(" texts,")[0] for line in lines[::3]] == ["150", "100", "50"]
    assert lines[1].startswith("    kind 0 text ")
    assert "3 groups of 300 texts" in captured.err
    assert f"next: rejoinder search --index {folder}" in captured.err


def test_a_closed_pipe_ends_the_command_without_a_traceback(folder):
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "rejoinder", "cluster", "--index", folder, "--clusters", "3"]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert done.returncode == 141  # 128 + SIGPIPE
    assert "Error" not in done.stderr
