from pathlib import Path

import pytest

PAIRS = Path(__file__).resolve().parents[2] / "examples" / "pairs.jsonl"

pytestmark = pytest.mark.e2e


def test_the_trained_encoder_ranks_the_right_answer_first(run_example, tmp_path):
    printed = run_example(
        *("train_on_pairs.py", "--pairs", PAIRS),
        *("--output", tmp_path / "out", "--steps", 60),
    )
    ranking = printed.splitlines()
    question = ranking.index("My cat scratches the sofa, what can I do?")
    assert "scratching post" in ranking[question + 1]
    assert (tmp_path / "out" / "run" / "training.json").exists()


def test_a_command_that_fails_stops_the_example(run_example, tmp_path):
    with pytest.raises(SystemExit, match="error: the command above ended with status 1"):
        run_example(
            *("train_on_pairs.py", "--pairs", tmp_path / "missing.jsonl"),
            *("--output", tmp_path / "out"),
        )
