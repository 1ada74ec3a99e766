import bz2
import gzip
import json
import lzma
import subprocess
import sys

import pytest
import zstandard

from rejoinder.errors import UserError
from rejoinder.models.tokenizer import Tokenizer
from rejoinder.models.tokenizer.wordpiece import read_texts, train_wordpiece


def test_layout_is_mpnets(tokenizer_folder):
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


def test_transformers_loads_it_alike(tokenizer_folder, texts):
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


def test_impossible_requests_are_refused(tmp_path):
    with pytest.raises(UserError, match="at least 16, got 15"):
        train_wordpiece(["a b c"], 15, tmp_path)
    with pytest.raises(UserError, match="no words"):
        train_wordpiece(["", " "], 100, tmp_path)


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_reads_compressed_files(tmp_path, suffix):
    packers = {
        "": bytes,
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": zstandard.compress,
    }
    lines = b'{"body": "one"}\n{"body": "tw\\u00f6"}\n{"id": 3}\n'
    (tmp_path / f"x.json{suffix}").write_bytes(packers[suffix](lines))
    assert list(read_texts([str(tmp_path / "x*")], "body")) == ["one", "twö"]


def test_reads_plain_lines(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"one\n\ntwo \xff\n")
    assert list(read_texts([str(tmp_path / "x.txt")])) == ["one", "two \ufffd"]


def test_unreadable_input_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no input file matches .*nothing\.txt"):
        list(read_texts([str(tmp_path / "nothing.txt")]))
    (tmp_path / "x.txt").write_text("plain\n")
    with pytest.raises(UserError, match=r"x\.txt: none of its 1 lines is a JSON object"):
        list(read_texts([str(tmp_path / "x.txt")], "body"))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"text\n" * 1000)[:-12])
    with pytest.raises(UserError, match=r"cut\.gz cannot be read"):
        list(read_texts([str(tmp_path / "cut.gz")]))
    (tmp_path / "bad.zst").write_bytes(b"no zstd")
    with pytest.raises(UserError, match=r"bad\.zst cannot be read"):
        list(read_texts([str(tmp_path / "bad.zst")]))


def test_the_command_writes_a_folder_and_reports_errors_in_one_line(tmp_path):
    (tmp_path / "in.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 5)
    command = [
        sys.executable,
        "-m",
        "rejoinder",
        "vocab",
        "--output",
        str(tmp_path / "out"),
        "--size",
    ]
    good = subprocess.run(
        [*command, "60", "--input", str(tmp_path / "in.txt")], capture_output=True, text=True
    )
    assert good.returncode == 0, good.stderr
    assert Tokenizer.from_folder(tmp_path / "out").vocab_size <= 60
    bad = subprocess.run(
        [*command, "60", "--input", str(tmp_path / "no.txt")], capture_output=True, text=True
    )
    assert bad.returncode == 1
    assert bad.stderr == f"error: no input file matches {tmp_path / 'no.txt'}\n"
