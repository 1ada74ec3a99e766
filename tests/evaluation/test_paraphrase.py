import pytest

from rejoinder.errors import UserError
from rejoinder.evaluation.paraphrase import paraphrase_label, read_labelled_pairs


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("(3, 2)", 1), ("(5, 0)", 1), ("(1, 4)", 0), ("(0, 5)", 0), ("(2, 3)", None),
        ("(4, 6)", 1), ("(6, 6)", 1), ("(2, 6)", 0), ("(0, 6)", 0), ("(3, 6)", None),
        ("5", 1), ("4", 1), ("3", None), ("2", 0), ("0", 0), ("?", None),
    ],
)  # fmt: skip
def test_votes_and_expert_labels_become_0_1_or_none(text, label):
    assert paraphrase_label(text) == label


def _read(path, text):
    path.write_text(text)
    return read_labelled_pairs(str(path))


def test_pit_2015_is_read(tmp_path):
    lines = [f"1\tTopic\ta {label}\tb\t{label}\ttag\ttag" for label in ("5", "3", "0")]
    data = _read(tmp_path / "test.data", "\n".join(lines) + "\n")
    assert (data.first, data.second, data.scores) == (["a 5", "a 0"], ["b", "b"], [1.0, 0.0])


def test_the_twitter_url_corpus_is_read(tmp_path):
    lines = [f"a\tb\t({votes}, 6)\thttps://t.co/x" for votes in (6, 3, 1)]
    data = _read(tmp_path / "Twitter_URL_Corpus_test.txt", "\n".join(lines) + "\n")
    assert data.scores == [1.0, 0.0]


def test_a_file_with_one_label_only_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"x\.csv: needs pairs that are paraphrases"):
        _read(tmp_path / "x.csv", "a,b,1\nc,d,1\n")


def test_the_error_for_a_short_row_names_its_line(tmp_path):
    with pytest.raises(UserError, match=r"x\.txt:2: has 2 columns, needs 3"):
        _read(tmp_path / "x.txt", "a\tb\t(6, 6)\nc\td\n")
