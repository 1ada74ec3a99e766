"""The tokenizer beside Hugging Face's own, on a small vocabulary.

All code points and all real comments: `tests/realdata/test_tokenizer_exact.py`.
"""

import dataclasses
import json
import random
import shutil

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.errors import UserError
from rejoinder.models.tokenizer import Tokenizer
from rejoinder.models.tokenizer.hugging_face import HuggingFaceTokenizer, to_json
from rejoinder.models.tokenizer.testing import differences, hugging_face_tokenizer

RANGES = {
    "LATIN": (0x20, 0x250),
    "GREEK": (0x370, 0x400),
    "CYRILLIC": (0x400, 0x530),
    "ARABIC": (0x600, 0x700),
    "DEVANAGARI": (0x900, 0x980),
    "THAI": (0xE00, 0xE80),
    "HANGUL": (0xAC00, 0xAD00),
    "CJK": (0x3000, 0x5000),
    "EMOJI": (0x1F300, 0x1F700),
    "MARKS": (0x300, 0x370),
    "PUNCTUATION": (0x2000, 0x2070),
}


@pytest.fixture(scope="module")
def ours(tokenizer_folder):
    return Tokenizer.from_folder(tokenizer_folder)


@pytest.fixture(scope="module")
def theirs(tokenizer_folder):
    return hugging_face_tokenizer(tokenizer_folder)


def ids(tokenizer, texts, max_length=128):
    return tokenizer(tf.constant(texts, tf.string), max_length).ids.to_list()


def test_equals_hugging_face_on_mixed_texts(ours, theirs, texts):
    assert differences(ours, theirs, texts) == []


def test_equals_hugging_face_on_a_sample_of_code_points(ours, theirs):
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    sample = points[:0x3100] + random.Random(0).sample(points, 10_000)
    assert differences(ours, theirs, [chr(c) for c in sample]) == []
    assert differences(ours, theirs, [f"a{chr(c)}b" for c in sample]) == []


mixed_scripts = st.lists(
    st.one_of(
        *(
            st.text(st.characters(min_codepoint=low, max_codepoint=high - 1), max_size=8)
            for low, high in RANGES.values()
        ),
        st.text(max_size=8),
        st.sampled_from(["</s>", "<mask>", "[UNK]", " ", "\n", "\0", "##a", "x" * 99, "y" * 102]),
    ),
    max_size=12,
).map("".join)


@settings(max_examples=100, deadline=None)
@given(st.lists(mixed_scripts, min_size=1, max_size=20))
def test_equals_hugging_face_on_mixed_scripts(ours, theirs, texts):
    # Surrogates are not valid UTF-8; they are tested below.
    clean = [text.encode("utf-8", "ignore").decode() for text in texts]
    assert differences(ours, theirs, clean) == []


def test_equals_hugging_face_at_every_length(ours, theirs, texts):
    joined = [" ".join(texts), *texts]
    for max_length in range(3, 129):
        assert differences(ours, theirs, joined, max_length) == [], max_length


def test_lengths_and_truncation_are_returned(ours):
    tokens = ours(tf.constant(["the fox", "the " * 50, ""]), 10)
    assert tokens.num_tokens.numpy()[1:].tolist() == [10, 2]
    assert tokens.truncated.numpy().tolist() == [False, True, False]
    for row in tokens.ids.to_list():
        assert (row[0], row[-1]) == (ours.bos_id, ours.eos_id)
    exactly = len(ids(ours, ["the fox"])[0])
    assert not ours(tf.constant(["the fox"]), exactly).truncated.numpy()[0]
    assert ours(tf.constant(["the fox"]), exactly - 1).truncated.numpy()[0]


def test_words_of_over_100_characters_are_unknown(ours, theirs):
    words = ["a" * 100, "a" * 101, "é" * 100, "é" * 101, "a" * 101 + " fox", "fox " + "日" * 101]
    assert differences(ours, theirs, words) == []
    assert ids(ours, ["a" * 101]) == [[ours.bos_id, ours.unk_id, ours.eos_id]]
    assert ours.unk_id not in ids(ours, ["a" * 100])[0]


def test_special_tokens_in_a_text_are_plain_text(ours):
    (row,) = ids(ours, ["</s> <s> <pad> <mask>"])
    specials = {ours.bos_id, ours.eos_id, ours.pad_id, ours.vocab_size - 1}
    assert not specials & set(row[1:-1])


class TestBrokenText:
    def test_bytes_that_are_not_utf8_count_as_replacement_characters(self, ours, theirs):
        broken = [b"fox\xff\xfedog", b"a\xc3(b", b"\xed\xa0\x80x", b"cut \xf0\x9f\x98", b"\x80"]
        repaired = [text.decode("utf-8", "replace") for text in broken]
        assert ids(ours, broken) == ids(ours, repaired)
        assert differences(ours, theirs, repaired) == []

    def test_nul_and_control_characters_are_dropped(self, ours):
        assert ids(ours, ["f\0o\x01x\x7f"]) == ids(ours, ["fox"])

    def test_texts_without_words_are_the_two_special_tokens(self, ours):
        empty = [ours.bos_id, ours.eos_id]
        assert ids(ours, ["", " \n\t", "\0", "\u3000"]) == [empty] * 4

    def test_no_texts(self, ours):
        tokens = ours(tf.constant([], tf.string))
        assert tokens.ids.shape[0] == 0
        assert tokens.num_tokens.shape == [0]

    def test_a_text_of_10_megabytes(self, ours):
        huge = ["the fox " * 1_300_000, "é" * 5_000_000]
        tokens = ours(tf.constant(huge), 128)
        assert tokens.num_tokens.numpy().tolist() == [128, 3]
        assert tokens.truncated.numpy().tolist() == [True, False]
        assert ids(ours, huge)[0] == ids(ours, ["the fox " * 100])[0]


class TestInGraphs:
    def test_it_runs_in_a_dataset(self, ours, texts):
        data = tf.data.Dataset.from_tensor_slices(list(texts)).batch(3)
        rows = [row for batch in data.map(lambda t: ours(t).ids) for row in batch.to_list()]
        assert rows == ids(ours, list(texts))

    def test_the_maximum_may_be_a_tensor(self, ours, texts):
        run = tf.function(lambda t, n: ours(t, n).num_tokens)
        lengths = run(tf.constant(list(texts)), tf.constant(5, tf.int32))
        assert lengths.numpy().tolist() == [5] * len(texts)

    def test_it_runs_in_a_saved_model(self, ours, texts, tmp_path):
        module = tf.Module()
        module.tokenizer = ours
        signature = [tf.TensorSpec([None], tf.string)]
        module.run = tf.function(lambda t: ours(t).ids.to_tensor(1), input_signature=signature)
        tf.saved_model.save(module, str(tmp_path))
        restored = tf.saved_model.load(str(tmp_path))
        expected = module.run(tf.constant(list(texts)))
        np.testing.assert_array_equal(restored.run(tf.constant(list(texts))), expected)


class TestFolder:
    @pytest.fixture
    def folder(self, tokenizer_folder, tmp_path):
        shutil.copytree(tokenizer_folder, tmp_path / "tokenizer")
        return tmp_path / "tokenizer"

    def change(self, folder, edit):
        path = folder / "tokenizer.json"
        data = json.loads(path.read_text())
        edit(data)
        path.write_text(json.dumps(data))

    def test_special_ids_and_files(self, ours, tokenizer_folder):
        assert (ours.bos_id, ours.pad_id, ours.eos_id, ours.unk_id) == (0, 1, 2, 4)
        names = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"]
        assert list(ours.folder_files) == [str(tokenizer_folder / name) for name in names]

    def test_the_fingerprint_depends_on_the_settings(self, ours, folder):
        assert Tokenizer.from_folder(folder).fingerprint == ours.fingerprint
        self.change(folder, lambda data: data["normalizer"].update(lowercase=False))
        assert Tokenizer.from_folder(folder).fingerprint != ours.fingerprint

    @pytest.mark.parametrize(
        "settings",
        [
            {"lowercase": False},
            {"lowercase": False, "strip_accents": True},
            {"strip_accents": False},
            {"handle_chinese_chars": False},
        ],
    )
    def test_other_normalizer_settings_are_applied(self, folder, settings, texts):
        self.change(folder, lambda data: data["normalizer"].update(settings))
        ours, theirs = Tokenizer.from_folder(folder), hugging_face_tokenizer(folder)
        assert differences(ours, theirs, texts) == []

    @pytest.mark.parametrize(
        ("edit", "message"),
        [
            (lambda d: d.update(normalizer={"type": "NFC"}), "normalizer is 'NFC'"),
            (lambda d: d["normalizer"].update(clean_text=False), "clean_text is false"),
            (lambda d: d.update(pre_tokenizer=None), "pre_tokenizer is None"),
            (lambda d: d["model"].update(type="BPE"), "model is 'BPE'"),
            (lambda d: d.update(post_processor=None), "post_processor None"),
            (lambda d: d["model"]["vocab"].pop("##e"), "without gaps"),
            (lambda d: d["model"].update(unk_token="?!"), "unknown token '\\?!'"),
        ],
    )
    def test_another_kind_of_tokenizer_is_refused(self, folder, edit, message):
        self.change(folder, edit)
        with pytest.raises(UserError, match=message):
            Tokenizer.from_folder(folder)

    def test_a_missing_or_broken_file_is_named(self, folder):
        with pytest.raises(UserError, match=r"nowhere/tokenizer\.json: does not exist"):
            Tokenizer.from_folder(folder / "nowhere")
        (folder / "tokenizer.json").write_text("{")
        with pytest.raises(UserError, match=r"tokenizer\.json: cannot be read as JSON"):
            Tokenizer.from_folder(folder)

    def test_a_maximum_below_3_is_refused(self, ours):
        with pytest.raises(ValueError, match="at least 3, got 2"):
            ours(tf.constant(["x"]), 2)


def long_text(rng):
    """Returns a text of which the beginning may or may not have all tokens that count."""
    words = [
        "",
        "fox",
        "jumps-over",
        "\u0301",
        "caf\u00e9",
        "\u4e2d\u6587",
        "x" * 101,
        "\u2014",
        "\u200b" * 99,
        "q",
    ]
    some = rng.choices(words, weights=[rng.random() ** 4 for _ in words], k=rng.randint(20, 300))
    return rng.choice(("", " ", "\u3000")).join(some).encode()


def random_bytes(seed, count=2000):
    rng = random.Random(seed)
    parts = b"ab \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xff\xed\xa0\x80\x00</s>"
    return [bytes(rng.choices(parts, k=rng.choice((0, 1, 4, 12, 30)))) for _ in range(count)]


def test_hugging_face_library_gives_the_ids_of_the_graph(ours, texts):
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    sample = points[:0x3100] + random.Random(1).sample(points, 10_000)
    some = [
        *(text.encode() for text in texts),
        *(f"a{chr(c)}b".encode() for c in sample),
        *random_bytes(seed=2),
        *(long_text(random.Random(seed)) for seed in range(400)),
        *(b"a" * 100, b"a" * 101, "\u00e9".encode() * 101, b"word " * 300, b"<mask> </s>", b""),
    ]
    tokenizer = HuggingFaceTokenizer(to_json(ours.spec), max_length=16)
    rows, truncated = tokenizer(some)
    expected = ours(tf.constant(some, tf.string), 16)
    assert [row.tolist() for row in rows] == expected.ids.to_list()
    assert truncated.tolist() == expected.truncated.numpy().tolist()
    assert 0 < truncated.sum() < len(some)
    assert all(row.dtype == np.int32 for row in rows)


def test_the_digest_of_hugging_face_library_depends_on_what_it_makes_of_code_points(ours):
    spec = ours.spec
    digest = HuggingFaceTokenizer(to_json(spec), 16).digest()
    keeps_case = dataclasses.replace(spec, normalizer={**spec.normalizer, "lowercase": False})
    assert HuggingFaceTokenizer(to_json(spec), 16).digest() == digest
    assert HuggingFaceTokenizer(to_json(keeps_case), 16).digest() != digest
