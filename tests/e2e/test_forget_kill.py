"""After kill -9 at any moment of `rejoinder forget` the corpus is the old or the new one."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.pipelines import verify
from rejoinder.pipelines.testing import dialogue, ndjson

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

KILLS = 3


def run(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "rejoinder", *arguments]
    return subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL)


def start_writing(folder: Path, corpus: str) -> subprocess.Popen:
    """Starts `rejoinder forget`, and returns when it begins to write."""
    process = run(folder, "forget", corpus, "--ids", "ids")
    while not (folder / f"{corpus}.staging").exists() and process.poll() is None:
        time.sleep(0.01)
    return process


def test_kill_9_at_random_moments_leaves_a_corpus_that_verify_accepts(tmp_path):
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece

    folder = tmp_path / "one" / "two" / "three"
    folder.mkdir(parents=True)
    (folder / "RC_1").write_bytes(ndjson(dialogue(4_000)))
    train_wordpiece(["this is the comment number 1 2 3"] * 50, 200, folder / "tokenizer")
    options = ["--tokenizer", "tokenizer", "--keep-text", "--keep-months", "2", "--quiet"]
    paths = ["--input", "RC_1", "--output", "corpus"]
    assert run(folder, "preprocess", *paths, *options, "--num-shards", "24").wait() == 0
    corpus = folder / "corpus"
    ids = [f"c{number}" for number in range(2, 20_000, 50)]
    (folder / "ids").write_text("\n".join(ids))
    shutil.copytree(corpus, folder / "copy")
    process = start_writing(folder, "copy")
    started = time.monotonic()
    assert process.wait() == 0
    writing = time.monotonic() - started
    shutil.rmtree(folder / "copy")
    before = load_manifest(str(corpus))
    moments, unfinished = random.Random(0), 0
    for number in range(KILLS):
        process = start_writing(folder, "corpus")
        time.sleep(moments.uniform(0, writing * (number + 1) / KILLS))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert list(verify.problems(str(corpus))) == []
        unfinished += load_manifest(str(corpus)) == before
    assert unfinished
    assert run(folder, "forget", "corpus", "--ids", "ids").wait() == 0
    assert list(verify.problems(str(corpus))) == []
    left = {
        example[name]
        for split in ("train", "test")
        for example in reading.read_examples(str(corpus), split)
        for name in ("context_id", "response_id")
    }
    assert left
    assert not left & {*ids}
    assert load_manifest(str(corpus)).counters["forgotten/pair"] == 2 * len(ids)
    assert sorted(path.name for path in folder.iterdir()) == ["RC_1", "corpus", "ids", "tokenizer"]
