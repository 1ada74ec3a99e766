"""The model card of a training run has its evaluation, command and data."""

import dataclasses
import json
import re

import pytest
import yaml
from huggingface_hub import ModelCard

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


def test_the_card_of_a_checkpoint_has_the_evaluation_of_that_checkpoint(run):
    details = dataclasses.replace(trained(run), checkpoint="ckpt-8")
    assert "## Evaluation" not in model_card(details, 768, 128)
    (run / "evaluation" / "ckpt-8").mkdir()
    text = EVALUATION.replace("54.9", "51.3")
    (run / "evaluation" / "ckpt-8" / "evaluation.md").write_text(text)
    card = model_card(details, 768, 128)
    assert "| ours   |       51.3 |" in card
    assert "54.9" not in card


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


def test_the_results_of_the_first_model_are_in_the_index(run):
    figures = {
        "models": {"mine": "run", "base": "other"},
        "data": {"candidates": 100},
        "ranking": [
            {"name": "mine", "accuracy": 0.5491},
            {"name": "base", "accuracy": 0.4},
            {"name": "TF-IDF", "accuracy": 0.2},
        ],
        "similarity": [{"model": "mine", "name": "STS-B test", "spearman": 0.81236}],
        "paraphrase": [{"model": "base", "name": "PIT-2015", "average_precision": 0.5}],
        "mteb": [{"model": "mine", "task": "SICK-R", "metric": "cosine_spearman", "score": 0.7}],
    }
    (run / "evaluation" / "evaluation.json").write_text(json.dumps(figures))
    card = ModelCard(model_card(trained(run), 768, 128))
    results = [(r.dataset_name, r.metric_type, r.metric_value) for r in card.data.eval_results]
    assert results == [
        ("comments", "accuracy", 0.5491),
        ("STS-B test", "spearman_cosine", 0.8124),
        ("SICK-R", "cosine_spearman", 0.7),
    ]
    assert card.data.model_name == "mine"


def test_license_and_language_come_from_the_base_but_not_its_data_sets(run, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    head = "license: apache-2.0\nlanguage: en\ndatasets:\n- snli"
    (base / "README.md").write_text(f"---\n{head}\n---\n\n# base\n")
    params = {"task": {"model": {"init_from": str(base)}}}
    (run / "params.yaml").write_text(yaml.safe_dump(params))
    data = ModelCard(model_card(trained(run), 768, 128)).data
    assert (data.license, data.language, data.datasets) == ("apache-2.0", "en", None)
    assert data.base_model is None
    converted = CardDetails(name="mine", source=str(base))
    data = ModelCard(model_card(converted, 768, 128)).data
    assert (data.license, data.language, data.datasets) == ("apache-2.0", "en", ["snli"])
    params["task"]["model"]["init_from"] = "microsoft/mpnet-base"
    (run / "params.yaml").write_text(yaml.safe_dump(params))
    data = ModelCard(model_card(trained(run), 768, 128)).data
    assert data.base_model == "microsoft/mpnet-base"


def test_a_model_that_was_not_trained_here_is_not_said_to_be(run):
    card = model_card(CardDetails(name="mine", source="someone/model"), 768, 128)
    assert "converted the weights of someone/model without training" in card
    assert "dual encoder" not in card
    assert "dual encoder" in model_card(trained(run), 768, 128)


def test_without_unit_length_the_card_does_not_promise_it():
    details = CardDetails(name="mine")
    assert "unit length" in model_card(details, 768, 128)
    for options in ({"normalize": False}, {"truncated": True}):
        assert "unit length" not in model_card(details, 64, 128, **options)
    assert "embeddings[:, :64]" in model_card(details, 64, 128, truncated=True)
