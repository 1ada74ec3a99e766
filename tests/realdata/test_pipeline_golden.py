"""The `polyai` preset gives exactly what PolyAI's extractor made of the same input."""

import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from pipelines import preprocess, reading

pytestmark = pytest.mark.realdata

DATA = Path(os.environ.get("REPARTEE_DATA", "../shared/data"))
GOLDEN = DATA.parent / "golden"
DUMPS = DATA / "reddit_dumps"
FIELDS = ("context", "response", "context_author", "response_author", "subreddit", "thread_id")

if not GOLDEN.is_dir():
    pytest.skip(f"no golden sets at {GOLDEN}; set REPARTEE_DATA", allow_module_level=True)


def golden(name: str, extra_contexts: int) -> Counter[str]:
    path = GOLDEN / name
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    return Counter(
        canonical(json.loads(line), extra_contexts) for line in data.decode().splitlines()
    )


def canonical(example: dict, extra_contexts: int) -> str:
    names = (*FIELDS, *(f"context/{i}" for i in range(extra_contexts)))
    return json.dumps({n: example[n] for n in names if n in example}, sort_keys=True)


def extract(tmp_path: Path, *inputs: Path, arguments: tuple[str, ...] = ()) -> Path:
    output = tmp_path / "corpus"
    preprocess.main(
        [
            "--input",
            *map(str, inputs),
            "--output",
            str(output),
            "--tokenizer",
            str(DATA / "tokenizer"),
            "--keep-text",
            "--quiet",
            *arguments,
        ]
    )
    return output


CASES = {
    "awkward": ("awkward_{}.jsonl", [GOLDEN / "awkward.ndjson"]),
    "months_zst": (
        "dumps_2005-12_to_2006-02_{}.jsonl",
        [DUMPS / "RC_2005-12.zst", DUMPS / "RC_2006-01.zst", DUMPS / "RC_2006-02.bz2"],
    ),
    "months_bz2": (
        "dumps_2005-12_to_2006-02_{}.jsonl",
        [DUMPS / "RC_2006-02.bz2", DUMPS / "RC_2006-01.bz2", DUMPS / "RC_2005-12.zst"],
    ),
    "derived": ("derived_{}.jsonl.zst", [DUMPS / "RC_2015-derived.zst"]),
}


@pytest.mark.parametrize("extra_contexts", [0, 9])
@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference(tmp_path, case, extra_contexts):
    name, inputs = CASES[case]
    output = extract(tmp_path, *inputs, arguments=("--extra-contexts", str(extra_contexts)))
    for split in ("train", "test"):
        ours = Counter(
            canonical(e, extra_contexts) for e in reading.read_examples(str(output), split)
        )
        assert ours == golden(name.format(split), extra_contexts)


def test_counters_add_up_to_the_lines_of_the_files(tmp_path):
    output = extract(tmp_path, *CASES["months_zst"][1])
    manifest = reading.read_manifest(str(output))
    assert sum(manifest.counters.values()) == 1_075 + 3_666 + 9_095
    assert [entry["lines"] for entry in manifest.inputs] == [1_075, 3_666, 9_095]
    assert (manifest.examples("train"), manifest.examples("test")) == (553, 65)
