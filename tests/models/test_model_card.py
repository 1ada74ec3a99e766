"""The model card of a training run has its evaluation, command and data."""

import json
import re

import pytest

from rejoinder.models.card_data import CardDetails
from rejoinder.models.model_card import model_card

EVALUATION = """# Evaluation

## Response selection

| method | 1-of-100 % |
| ------ | ---------: |
| ours   |       54.9 |
"""
TRAINING = {
    "command": "rejoinder train --model-dir=run",
    "steps": 1200,
    "batch_size": 256,
    "replicas": 1,
    "parameters": 109_486_464,
    "precision": "bfloat16",
    "first_loss": 3.1,
    "last_loss": 2.5,
}
DATA = {"corpora": [{"name": "reddit", "weight": 2, "pairs": 65_532, "shards": "ab12"}]}


@pytest.fixture
def run(tmp_path):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "evaluation.md").write_text(EVALUATION)
    (tmp_path / "training.json").write_text(json.dumps(TRAINING))
    (tmp_path / "data.json").write_text(json.dumps(DATA))
    return tmp_path


def trained(run):
    return CardDetails(name="mine", source=str(run), is_trained_here=True)


def test_the_card_has_the_evaluation_the_command_and_the_data(run):
    card = model_card(trained(run), 768, 128)
    assert card.startswith("---\nlibrary_name: sentence-transformers\n")
    assert "\n# mine\n" in card
    assert "\n## Evaluation\n\n### Response selection\n" in card
    assert "| ours   |       54.9 |" in card
    assert "```\nrejoinder train --model-dir=run\n```" in card
    assert re.search(r"\| loss +\| 3\.1000 → 2\.5000 \|", card)
    assert re.search(r"\| reddit +\| +2 \| 65,532 \| `ab12` +\|", card)


def test_a_report_without_command_and_losses_gives_a_card_without_them(run):
    rest = {key: value for key, value in TRAINING.items() if key != "command"}
    report = {**rest, "first_loss": None, "last_loss": None}
    (run / "training.json").write_text(json.dumps(report))
    card = model_card(trained(run), 768, 128)
    assert "## Training\n\n| " in card
    assert re.search(r"\| steps +\| +1,200 \|", card)
    assert "| loss" not in card


def test_missing_reports_are_left_out(run):
    (run / "evaluation" / "evaluation.md").unlink()
    (run / "data.json").unlink()
    card = model_card(trained(run), 768, 128)
    assert "Evaluation" not in card
    assert "### Data" not in card
    assert "## Training" in card
    card = model_card(CardDetails(name="mine"), 768, 128)
    assert re.findall("^## .*", card, re.MULTILINE) == ["## Usage", "## Intended use", "## Limits"]
