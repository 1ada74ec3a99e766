"""A vocabulary trained on text, and the tokenizer folder that holds it."""

import json

import pytest

from rejoinder.errors import UserError
from rejoinder.models.tokenizer import Tokenizer
from rejoinder.models.tokenizer.wordpiece import train_wordpiece


def test_special_tokens_have_the_ids_of_mpnet(tokenizer_folder):
    tokens = (tokenizer_folder / "vocab.txt").read_text().splitlines()
    assert tokens[:5] == ["<s>", "<pad>", "</s>", "<unk>", "[UNK]"]
    assert tokens[-1] == "<mask>"
    assert len(tokens) == len(set(tokens)) > 200


def test_the_same_texts_give_the_same_bytes(texts, tmp_path):
    folders = [train_wordpiece(texts, 200, tmp_path / name) for name in "ab"]
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert files[0] == files[1]


def test_frequent_words_become_one_piece(tmp_path):
    folder = train_wordpiece(["hello hello world"] * 10 + ["hell"], 40, tmp_path)
    vocab = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert "hello" in vocab
    assert "world" in vocab


def test_transformers_reads_the_folder_and_gives_the_same_ids(tokenizer_folder, texts):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(tokenizer_folder)
    ours = Tokenizer.from_folder(tokenizer_folder)
    expected = theirs(list(texts), truncation=True, max_length=20, split_special_tokens=True)[
        "input_ids"
    ]
    assert ours(list(texts), 20).ids.to_list() == expected
    assert (theirs.bos_token_id, theirs.pad_token_id) == (ours.bos_id, ours.pad_id)
    assert (theirs.eos_token_id, theirs.unk_token_id) == (ours.eos_id, ours.unk_id)
    assert theirs.mask_token_id == ours.vocab_size - 1


def test_a_vocabulary_that_is_too_small_or_has_no_words_is_an_error(tmp_path):
    with pytest.raises(UserError, match="at least 16, got 15"):
        train_wordpiece(["a b c"], 15, tmp_path)
    with pytest.raises(UserError, match="no words"):
        train_wordpiece(["", " "], 100, tmp_path)
