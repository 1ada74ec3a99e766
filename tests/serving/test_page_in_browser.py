"""The page in headless Chromium, driven over WebDriver with httpx."""

import pytest

pytestmark = pytest.mark.e2e


RANK = "document.querySelector('button').click()"
DONE = "document.getElementById('status').textContent.includes('round trip')"
REPLIES = "[...document.querySelectorAll('.reply')].map((cell) => cell.textContent)"


def fill(browser, context, replies):
    browser.run("document.getElementById('context').value = arguments[0]", context)
    browser.run("document.getElementById('replies').value = arguments[0]", "\n".join(replies))


def test_replies_are_ranked_with_numbers_and_a_picture(browser, server):
    browser.open(server.url)
    browser.wait("document.getElementById('model').value")
    assert browser.run("return document.getElementById('corpora').offsetParent === null")
    browser.screenshot("page-empty")
    fill(browser, "red green blue", ["x y z", "red green blue", "", "red green q"])
    browser.run(RANK)
    browser.wait(DONE)
    assert browser.run(f"return {REPLIES}") == ["red green blue", "red green q", "x y z"]
    first = browser.run("return document.querySelector('#ranking tr').innerText")
    assert "1.000" in first
    assert first.split()[-1] == "5"
    assert browser.run("return document.querySelectorAll('#picture rect').length") == 16
    status = browser.run("return document.getElementById('status').textContent")
    assert status.startswith("4 texts, 20 tokens (context: 5)")
    browser.screenshot("page-ranked")


def test_text_is_shown_as_text(browser, server):
    browser.open(server.url)
    browser.wait("document.getElementById('model').value")
    fill(browser, "a", ["<img src=x onerror=alert(1)>", "word " * 50])
    browser.run(RANK)
    browser.wait(DONE)
    assert browser.run("return document.querySelector('#ranking img')") is None
    assert "<img src=x onerror=alert(1)>" in browser.run(f"return {REPLIES}")
    assert browser.run("return document.querySelectorAll('.truncated').length") == 1


def test_errors_are_announced_to_screen_readers(browser, server):
    browser.open(server.url)
    browser.wait("document.getElementById('model').value")
    fill(browser, "a", [f"reply {i}" for i in range(64)])
    browser.run(RANK)
    browser.wait("document.getElementById('status').className === 'error'")
    status = browser.run("return document.getElementById('status').textContent")
    assert status == "request has 65 items, the limit is 64; send several requests"
    assert browser.run("return document.getElementById('status').ariaLive") == "polite"


def test_the_page_works_from_the_keyboard_and_all_fields_have_labels(browser, server):
    browser.open(server.url)
    browser.wait("document.getElementById('model').value")
    browser.press("button", "\ue007")  # Enter
    browser.wait(DONE)
    unnamed = """return [...document.querySelectorAll('input, textarea, select')]
        .filter((field) => !field.labels.length).map((field) => field.id)"""
    assert browser.run(unnamed) == []
    assert browser.run("return document.documentElement.lang") == "en"
    assert browser.run("return document.querySelectorAll('th:not([scope])').length") == 0


def test_the_page_uses_the_key_of_a_guarded_server(browser, start, tiny_base):
    guarded = start(tiny_base, env={"REJOINDER_API_KEYS": "sesame"})
    browser.open(guarded.url)
    browser.wait("document.getElementById('status').className === 'error'")
    browser.press("#key", "sesame")
    browser.run(RANK)
    browser.wait(DONE)
    browser.open(f"{guarded.url}/docs")
    browser.wait("document.querySelectorAll('section').length")
    assert browser.run("return document.querySelectorAll('section').length") == 14
    browser.screenshot("docs")
    assert guarded.stop() == 0
