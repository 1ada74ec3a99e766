"""`/search` with an index of `rejoinder.retrieval`."""

import httpx
import pytest


def test_the_nearest_texts_are_first_and_have_their_fields(searching, indexed_texts):
    body = {"index": "small", "input": "red green blue", "k": 2}
    answer = httpx.post(f"{searching.url}/search", json=body).json()
    assert [found["text"] for found in answer["answers"]] == indexed_texts[:2]
    assert answer["answers"][0]["score"] == pytest.approx(1.0, abs=1e-3)
    assert answer["answers"][0]["fields"] == {"subreddit": "colours"}
    assert (answer["num_tokens"], answer["truncated"]) == (5, False)


def test_a_truncated_text_is_reported_or_refused(searching):
    body = {"index": "small", "input": "long " * 100}
    answer = httpx.post(f"{searching.url}/search", json=body)
    assert answer.json()["truncated"] is True
    assert answer.headers["x-truncated"] == "0"
    answer = httpx.post(f"{searching.url}/search", json={**body, "auto_truncate": False})
    assert answer.status_code == 400
    assert "input 0 has more than 32 tokens" in answer.json()["error"]


def test_indexes_are_listed(searching):
    answer = httpx.get(f"{searching.url}/indexes").json()
    assert answer == {"indexes": [{"name": "small", "texts": 3}]}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"input": "a"}, 400, "index must be a string, the name of an index"),
        ({"index": "small", "input": ["a"]}, 400, "input must be a string"),
        ({"index": "small", "input": "a", "k": 0}, 400, "k must be a whole number from 1 to 100"),
        ({"index": "small", "input": "a", "k": True}, 400, "k must be a whole number"),
        ({"index": "../etc", "input": "a"}, 404, "index '../etc' does not exist"),
        ({"index": "small", "input": "a", "model": "x"}, 404, "Servable not found"),
    ],
)
def test_bad_requests(searching, body, status, message):
    answer = httpx.post(f"{searching.url}/search", json=body)
    assert answer.status_code == status
    assert message in answer.json()["error"]


@pytest.mark.e2e
def test_the_page_ranks_the_texts_of_an_index(searching, browser):
    browser.open(searching.url)
    browser.wait("document.getElementById('corpus').options.length === 2")
    browser.run("document.getElementById('context').value = 'red green q'")
    browser.run(
        "const corpus = document.getElementById('corpus'); corpus.value = 'small';"
        "corpus.dispatchEvent(new Event('change'))"
    )
    browser.run("document.querySelector('button').click()")
    browser.wait("document.getElementById('status').textContent.includes('round trip')")
    replies = "return [...document.querySelectorAll('.reply')].map((cell) => cell.textContent)"
    assert browser.run(replies)[0] == "red green q"
    assert browser.run("return document.getElementById('typed').offsetParent === null")
    browser.screenshot("page-corpus")
