"""`rejoinder inspect` prints statistics and examples, starts fast, and accepts a closed pipe."""

import json
import subprocess
import sys

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines import inspect
from rejoinder.pipelines.testing import dialogue, ndjson

# Modules that take seconds to import, and that reading a corpus does not need.
HEAVY = {"tensorflow", "apache_beam", "polars", "transformers", "torch", "gcsfs", "fsspec"}


@pytest.fixture
def corpus(tmp_path, preprocess):
    (tmp_path / "RC").write_bytes(ndjson(dialogue(400)))
    return str(preprocess(tmp_path / "RC"))


def test_statistics_and_examples_are_printed(corpus, capsys):
    assert inspect.main([corpus, "--split", "train", "--examples", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("corpus: tokenizer ")
    assert lines[1].split()[:3] == ["test", "140", "pairs"]
    assert lines[2].split()[-3:] == ["ids", "and", "texts"]
    for expected in ("pair/train 1,460", "no_pair/top_level 400", "train example 1"):
        assert expected in [" ".join(line.split()) for line in lines]
    assert any("tokens of a context" in line and "p99" in line for line in lines)
    assert any(line.startswith("  context   ") and "comment number" in line for line in lines)


def test_a_negative_number_of_examples_and_an_empty_name_are_errors(corpus):
    with pytest.raises(UserError, match="--examples: must be at least 0, got -1"):
        inspect.main([corpus, "--examples", "-1"])
    with pytest.raises(UserError, match="CORPUS: is empty; give the folder of a corpus"):
        inspect.main([""])


def test_examples_can_be_json_lines(corpus, capsys):
    assert inspect.main([corpus, "--json", "--split", "train", "--examples", "3"]) == 0
    examples = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(examples) == 3
    assert {"context", "context_ids", "thread_id"} <= set(examples[0])


@pytest.mark.parametrize(
    ("share", "value"), [(0.01, 1), (0.5, 1), (0.51, 2), (0.9, 2), (0.91, 30), (1.0, 30)]
)
def test_percentiles_are_values_of_the_histogram(share, value):
    assert inspect.percentile({30: 10, 1: 50, 2: 40}, share) == value


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_reading_a_corpus_imports_nothing_heavy(corpus, command):
    code = (
        "import sys; from rejoinder.commands import dispatch; "
        f"status = dispatch([{command!r}, {corpus!r}]); "
        f"print(status, sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


@pytest.mark.parametrize("lines_read", [0, 1])
def test_a_closed_pipe_ends_the_command_quietly(corpus, lines_read):
    command = [sys.executable, "-m", "rejoinder", "inspect", corpus]
    # More than a pipe holds, so that the command still writes when the pipe is closed.
    command += ["--json", "--split", "train", "--examples", "1000"] if lines_read else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(lines_read):
        assert json.loads(process.stdout.readline())
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141
