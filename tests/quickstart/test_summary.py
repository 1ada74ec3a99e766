from rejoinder.quickstart.summary import ranking_rows


def method(accuracy, interval):
    return {"name": "TF-IDF", "accuracy": accuracy, "accuracy_interval": interval, "mrr": 0.25}


def test_accuracy_is_shown_in_percent_with_its_interval():
    rows = ranking_rows({"ranking": [method(0.264, [0.25, 0.2755])]})
    assert rows == [("1-of-100 TF-IDF", "26.4%  (95 % interval 25.0% to 27.6%)")]


def test_a_split_too_small_for_1_of_100_shows_mrr_and_says_why():
    rows = ranking_rows({"ranking": [method(None, None)]})
    assert rows == [("MRR TF-IDF", "0.250  (too few pairs for 1-of-100)")]
