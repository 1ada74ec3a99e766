"""`datasets.load_dataset` opens converted corpora, and sentence-transformers trains on them."""

import pytest

from rejoinder.corpus import reading
from rejoinder.pipelines import convert, preprocess
from rejoinder.pipelines.testing import dialogue, ndjson

datasets = pytest.importorskip("datasets", reason="needs `make setup-parity`")
sentence_transformers = pytest.importorskip(
    "sentence_transformers", reason="needs `make setup-parity`"
)
pytestmark = [pytest.mark.parity, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece

    folder = tmp_path_factory.mktemp("tokenizer")
    train_wordpiece(["this is the comment number 0 1 2 3 4 5 6 7 8 9"] * 20, 200, folder)
    return str(folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, tokenizer_folder):
    folder = tmp_path_factory.mktemp("made")
    (folder / "RC_2015-01").write_bytes(ndjson(dialogue(60)))
    paths = ["--input", str(folder / "RC_2015-01"), "--output", str(folder / "corpus")]
    options = ["--tokenizer", tokenizer_folder, "--keep-text", "--extra-contexts", "1", "--quiet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rejoinder.pipelines.job.thread_limit.limit_threads", lambda: None)
        preprocess.main([*paths, *options, "--format", "parquet"])
    return str(folder / "corpus")


@pytest.fixture
def load(tmp_path, monkeypatch):
    """`load_dataset` with a cache of its own."""
    monkeypatch.setattr("rejoinder.pipelines.job.thread_limit.limit_threads", lambda: None)

    def load_dataset(folder, *configuration):
        return datasets.load_dataset(str(folder), *configuration, cache_dir=str(tmp_path / "cache"))

    return load_dataset


def converted(corpus, output, table_format):
    convert.main([corpus, "--output", str(output), "--format", table_format])
    return output


def examples(corpus, split, columns):
    found = reading.read_examples(corpus, split)
    return [{name: example.get(name) for name in columns} for example in found]


def check(loaded, corpus):
    """Compares a loaded data set with the examples of the shards, pair by pair."""
    assert list(loaded) == ["train", "test"]
    for split, rows in loaded.items():
        assert list(rows) == examples(corpus, split, rows.column_names)
    assert sum(map(len, loaded.values())) == 240


def test_parquet_opens_with_pairs_by_default_and_with_all_columns(tmp_path, corpus, load):
    folder = converted(corpus, tmp_path / "out", "parquet")
    pairs, full = load(folder), load(folder, "full")
    check(pairs, corpus)
    check(full, corpus)
    assert pairs["train"].column_names == ["context", "response"]
    ancestors = ["context/0", "context_author/0", "context_id/0"]
    assert full["train"].column_names[-3:] == ancestors
    assert None in full["train"]["context/0"]


def test_a_corpus_with_parquet_files_beside_its_shards_opens(corpus, load):
    check(load(corpus), corpus)
    check(load(corpus, "full"), corpus)


@pytest.mark.parametrize("table_format", ["jsonl", "polyai-json"])
def test_json_opens_with_all_columns(tmp_path, corpus, load, table_format):
    loaded = load(converted(corpus, tmp_path / "out", table_format))
    check(loaded, corpus)
    assert "subreddit" in loaded["train"].column_names


@pytest.mark.parametrize("table_format", ["parquet", "jsonl"])
def test_a_corpus_without_test_pairs_and_with_empty_shards_opens(
    tmp_path, tokenizer_folder, load, table_format
):
    (tmp_path / "RC_2015-01").write_bytes(ndjson(dialogue(1)))
    paths = ["--input", str(tmp_path / "RC_2015-01"), "--output", str(tmp_path / "corpus")]
    preprocess.main([*paths, "--tokenizer", tokenizer_folder, "--keep-text", "--quiet"])
    loaded = load(converted(str(tmp_path / "corpus"), tmp_path / "out", table_format))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 4}


def test_sentence_transformers_trains_on_the_folder_unchanged(
    tmp_path, corpus, load, tokenizer_folder, monkeypatch
):
    monkeypatch.setenv("WANDB_DISABLED", "true")
    import torch
    import transformers
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=len(tokenizer), num_hidden_layers=1, **sizes)
    transformers.BertModel(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    model = sentence_transformers.SentenceTransformer(str(tmp_path / "model"), device="cpu")

    train = load(corpus)["train"]
    trainer = sentence_transformers.SentenceTransformerTrainer(
        model,
        sentence_transformers.SentenceTransformerTrainingArguments(
            str(tmp_path / "run"),
            max_steps=4,
            learning_rate=0.01,
            logging_steps=1,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
        ),
        train_dataset=train,
        loss=MultipleNegativesRankingLoss(model),
    )
    before = model.encode("this is the comment number 1").copy()
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 4
    assert abs(model.encode("this is the comment number 1") - before).max() > 1e-3
