"""The page's responses, without a browser; `test_page_in_browser.py` drives them in one."""

import re

import pytest

from rejoinder.serving.http.page import page_responses


@pytest.fixture(scope="module")
def responses():
    return page_responses()


def test_both_pages_share_their_head(responses):
    heads = [responses[path].body.decode().partition("</head>")[0] for path in ("/", "/docs")]
    titles = [re.search("<title>(.*)</title>", head)[1] for head in heads]
    assert titles == ["Rejoinder: rank replies", "Rejoinder: HTTP interface"]
    assert heads[0].replace(titles[0], titles[1]) == heads[1]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_refers_only_to_served_paths_and_has_no_inline_script(responses, path):
    html = responses[path].body.decode()
    assert html.startswith("<!doctype html>")
    assert "{%" not in html
    paths = {*re.findall(r'(?:src|href)="(/[^"]*)"', html)}
    assert paths <= responses.keys() | {"/openapi.json"}
    assert re.findall(r"<script(.*?)>(.*?)</script>", html)[0][1] == ""


def test_every_response_forbids_foreign_content(responses):
    for response in responses.values():
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
