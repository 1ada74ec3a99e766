"""`--decontaminate` drops the pairs that contain a text of an evaluation."""

import json

import pytest

from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.pipelines.reddit.contamination import Contamination, read_grams
from rejoinder.pipelines.testing import dialogue, ndjson

LONG = "One two three, four five six seven eight nine ten eleven twelve thirteen fourteen."
FILES = {
    "sts.csv": f'"{LONG}","A man is playing the guitar.",4.2\n',
    "sick.txt": f"pair\tsentence_A\n7\t{LONG}\tA man is playing the guitar.\t4.2\tNEUTRAL\n",
    "texts.jsonl": '{"query": "One two three, four five six seven eight nine ten eleven twelve '
    'thirteen fourteen.", "positives": ["A man is playing the guitar."], "score": 4.2}\n',
    "lines.txt": f"{LONG}\r\nA man is playing the guitar.\n[not JSON\n",
}


def index(tmp_path, *texts: str) -> Contamination:
    path = tmp_path / "evaluation.txt"
    path.write_text("\n".join(texts))
    return Contamination(read_grams([str(path)]))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("so: two THREE four five six seven eight nine ten eleven twelve thirteen!", True),
        ("two three four five six seven eight nine ten eleven twelve", False),  # 11 words
        ("I said that a man is playing the guitar, twice", True),
        ("a man is playing guitar", False),
        ("Thank you.", True),
        ("thank you very much indeed, my friend", False),
        ("guitar", False),
        ("", False),
    ],
)
def test_what_contains_a_text(tmp_path, text, found):
    chosen = index(tmp_path, LONG, "A man is playing the guitar.", "thank you!", "guitar")
    assert chosen.contains(text) is found


@pytest.mark.parametrize("name", FILES)
def test_every_form_of_file_has_the_same_texts(tmp_path, name):
    path = tmp_path / name
    path.write_text(FILES[name])
    grams = read_grams([str(path)])
    assert "a man is playing the guitar" in grams
    assert {"one two three four five six seven eight nine ten eleven twelve"} <= {*grams}
    assert len([g for g in grams if g.startswith(("one", "two", "three"))]) == 3


def test_a_file_without_texts_is_an_error(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("1,2,3\n")
    with pytest.raises(UserError, match=r"--decontaminate .*scores\.csv: has no text of two words"):
        read_grams([str(path)])
    with pytest.raises(UserError, match="none: does not exist"):
        read_grams(["none"])
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not UTF-8"):
        read_grams([str(path)])


def test_a_run_drops_and_counts_them_and_counts_what_the_splits_share(tmp_path, preprocess):
    dump, evaluation = tmp_path / "RC", tmp_path / "evaluation.txt"
    lines = dialogue(60)
    for line in lines[2::5]:  # the third comment of each thread
        line["body"] = "Everybody writes this."
    dump.write_bytes(ndjson(lines))
    evaluation.write_text("this is the comment number 0\nthis is the comment number 6\n")
    folder = preprocess(dump, arguments=["--decontaminate", str(evaluation)])
    manifest = load_manifest(str(folder))
    assert manifest.counters["contaminated_pair"] == 3  # c0-c1, c5-c6 and c6-c7
    assert sum(manifest.counters.values()) == len(lines)
    assert manifest.options["decontaminate"] == [str(evaluation)]
    examples = {
        split: list(reading.read_examples(str(folder), split)) for split in ("train", "test")
    }
    texts = {
        split: {text for e in found for text in (e["context"], e["response"])}
        for split, found in examples.items()
    }
    assert not {"c0", "c5", "c6"} & {e["context_id"] for found in examples.values() for e in found}

    report = json.loads((folder / "report.json").read_text())
    assert report["shared_texts"] == {
        "test_texts": len(texts["test"]),
        "in_train": len(texts["test"] & texts["train"]),
        "compared": 1.0,
    }
    assert report["shared_texts"]["in_train"] == 1
    evaluation.write_text("another text of some words\n")
    again = preprocess(dump, output="b", arguments=["--decontaminate", str(evaluation)])
    digest = load_manifest(str(again)).options["evaluation_sha256"]
    assert digest != manifest.options["evaluation_sha256"]
