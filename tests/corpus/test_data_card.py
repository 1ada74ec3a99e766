"""The header of the data card that `datasets.load_dataset` reads."""

import pytest
import yaml

from rejoinder.corpus.data_card import data_card
from rejoinder.corpus.features import TEXT_FEATURES
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.corpus.naming import TABLE_FORMATS
from rejoinder.corpus.table_files import TableFiles


def manifest(train=9, test=1):
    splits = {"train": [Shard("a", train, 1, "")], "test": [Shard("b", test, 1, "")]}
    inputs = [{"path": "/home/me/RC_2015-01.zst", "bytes": 1, "sha256": "ab12", "lines": 20}]
    options = {"min_chars": 9, "subreddits": ["a|b", "<c>"]}
    return Manifest("reddit", splits, 128, "", 1, 10, ["train", "test"], options, inputs)


def header(text):
    _, block, body = text.split("---\n", 2)
    return yaml.safe_load(block), body


def test_parquet_has_a_configuration_of_pairs_and_one_of_all_columns():
    values, body = header(data_card(manifest(), TableFiles("parquet", TEXT_FEATURES)))
    files = [
        {"split": "train", "path": "data/train-*.parquet"},
        {"split": "test", "path": "data/test-*.parquet"},
    ]
    pairs = {"config_name": "pairs", "default": True, "columns": ["context", "response"]}
    assert values == {
        "configs": [
            {**pairs, "data_files": files},
            {"config_name": "full", "data_files": files},
        ]
    }
    assert 'load_dataset("THIS_FOLDER", "full")' in body


def test_a_corpus_of_pair_files_has_one_configuration():
    values, body = header(data_card(manifest(), TableFiles("parquet", ("context", "response"))))
    assert [list(config) for config in values["configs"]] == [["config_name", "data_files"]]
    assert "full" not in body


def test_json_lines_declare_the_types_of_their_columns():
    values, body = header(data_card(manifest(), TableFiles("jsonl", TEXT_FEATURES)))
    (info,) = values["dataset_info"]
    assert info["config_name"] == values["configs"][0]["config_name"]
    assert [feature["name"] for feature in info["features"]] == list(TEXT_FEATURES)
    assert {feature["dtype"] for feature in info["features"]} == {"string"}
    assert "select_columns(['context', 'response'])" in body


@pytest.mark.parametrize("table_format", TABLE_FORMATS)
def test_a_split_without_pairs_is_not_listed(table_format):
    tables = TableFiles(table_format, TEXT_FEATURES)
    values, body = header(data_card(manifest(test=0), tables))
    assert {f["split"] for config in values["configs"] for f in config["data_files"]} == {"train"}
    assert "| `test`  |     0 |" in body


def test_the_card_names_inputs_without_their_folders():
    _, body = header(data_card(manifest(), TableFiles("jsonl", TEXT_FEATURES)))
    assert "RC_2015-01.zst" in body
    assert "/home/me" not in body
    assert r"\|" in body
