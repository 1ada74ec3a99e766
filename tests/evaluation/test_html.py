"""`evaluation.html` shows all parts, escapes all text and needs no other file."""

import re

from rejoinder.evaluation.curves import Curve
from rejoinder.evaluation.examples import Example
from rejoinder.evaluation.html import render_html
from rejoinder.evaluation.intervals import Interval
from rejoinder.evaluation.results import Evaluation, RankingData, RankingResult, SimilarityResult
from rejoinder.evaluation.slices import Histogram, Slice
from rejoinder.evaluation.sts import Similarity


def evaluation_of(name):
    data = RankingData("corpus", ("test",), 200, 2, 500, 100, 190, False, 0, "100 training pairs")
    recall = {1: 0.1, 10: 0.2, 50: 0.3}
    results = [
        RankingResult(name, True, 0.5, Interval(0.4, 0.6), None, None, recall, 0.2, 90.0),
        RankingResult(
            "BM25", False, 0.3, Interval(0.2, 0.4), -0.2, Interval(-0.3, -0.1), recall, 0.1
        ),
    ]
    example = Example("a <b>context</b>", "news", [(0.9, "<script>no</script>")], (0.1, "own"), 7.5)
    return Evaluation(
        models={name: "path"},
        data=data,
        ranking=results,
        similarity=[SimilarityResult(name, Similarity("sts", 9, 0.8, 0.7, Interval(0.6, 0.8)))],
        histograms=[Histogram(name, [0, 1, 2], [0.5, 0.5], [1, 0])],
        slices=[
            Slice("response length", "0 to 19", 30, name, 0.5),
            Slice("subreddit", "news", 30, "BM25", 0.4),
        ],
        curves=[Curve(name, "train", "loss", [1, 2], [3.0, 2.0])],
        examples_of=name,
        neighbours=[example],
        mistakes=[example],
        command="rejoinder evaluate",
    )


def test_the_page_holds_every_section_and_plot():
    page = render_html(evaluation_of("<ours>"))
    for heading in ("Learning curve", "Accuracy by length", "by subreddit", "Nearest", "Hardest"):
        assert heading in page
    assert page.count("<svg") == 5
    assert "ConveRT" in page


def test_the_page_has_no_links_to_the_outside():
    page = render_html(evaluation_of("<ours>"))
    links = re.findall(r"""(?:src|href)=["']([^"'#][^"']*)|url\(([^#)][^)]*)\)|@import""", page)
    assert links == []


def test_texts_of_the_data_are_escaped():
    page = render_html(evaluation_of("<ours>"))
    assert "<script>" not in page
    assert "<ours>" not in page
    assert "a &lt;b&gt;context&lt;/b&gt;" in page


def test_the_same_evaluation_gives_the_same_bytes():
    assert render_html(evaluation_of("<ours>")) == render_html(evaluation_of("<ours>"))


def test_an_empty_evaluation_gives_a_page_without_plots():
    assert "<svg" not in render_html(Evaluation(models={}))


def test_the_losses_of_all_data_sets_are_one_panel_beside_the_other_curves():
    names = [*(f"loss_source{number}" for number in range(7)), "training_loss", "accuracy"]
    curves = [Curve("ours", "train", name, [1, 2], [3.0, 2.0]) for name in names]
    accuracy = [Curve("ours", "validation", f"accuracy_source{n}", [2], [0.5]) for n in range(7)]
    page = render_html(Evaluation(models={}, curves=curves + accuracy))
    for text in (*names[-2:], "training loss by data set", "validation accuracy by data set"):
        assert page.count(f">{text}</text>") == 1
    for text in ("source0", "source6"):
        assert page.count(f">{text}</text>") == 2
    others = [Curve("other", "train", "loss_source1", [1, 2], [3.0, 2.0])]
    both = render_html(Evaluation(models={}, curves=curves + others))
    for text in ("ours, source1", "other, source1"):
        assert both.count(f">{text}</text>") == 1
