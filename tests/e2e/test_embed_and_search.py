"""Embeds a dump with the Beam job and a tiny real model, and searches the result."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rejoinder.corpus.embeddings import read_embeddings
from rejoinder.pipelines.testing import dialogue, ndjson

pytestmark = pytest.mark.e2e


def _run(*arguments):
    command = [sys.executable, "-m", "rejoinder", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from rejoinder.models.saved_model.testing import publish_tiny

    base = tmp_path_factory.mktemp("exports") / "tiny"
    publish_tiny(base)
    return base


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    path = tmp_path_factory.mktemp("dump") / "RC_2015-01"
    path.write_bytes(ndjson(dialogue(200)))
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_the_job_and_the_local_encoder_give_equal_embeddings(model, dump, tmp_path, workers):
    from rejoinder.models.encoder import Encoder

    out = tmp_path / "embedded"
    _run(
        "embed", "--input", dump, "--output", out, "--model", model,
        "--keep", "id", "--workers", workers,
    )  # fmt: skip
    shards = [pq.read_table(path) for path in sorted(out.glob("*.parquet"))]
    table = pa.concat_tables(shards)
    assert table["id"].to_pylist() == [f"c{number}" for number in range(1000)]
    local = Encoder.load(model).encode(table["text"].to_pylist())
    assert np.abs(np.concatenate([*map(read_embeddings, shards)]) - local).max() < 1e-6

    answers = _run("search", "--corpus", out, "--query", "this is the comment number 77", "--json")
    assert json.loads(answers)["answers"][0] == {
        "score": pytest.approx(1, abs=2e-3),
        "text": "this is the comment number 77",
        "id": "c77",
    }
