"""The page in headless Chromium, driven over WebDriver with httpx."""

import json
import subprocess

import httpx
import pytest

pytestmark = pytest.mark.e2e


RANK = "document.querySelector('button').click()"
DONE = "document.getElementById('status').textContent.includes('round trip')"
REPLIES = "[...document.querySelectorAll('.reply')].map((cell) => cell.textContent)"


STATUS = "document.getElementById('status').textContent"
FOCUS = "return document.activeElement.id"
ENTER, CONTROL, RELEASE = "\ue007", "\ue009", "\ue000"


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
    description = httpx.get(f"{guarded.url}/openapi.json").json()
    operations = sum(map(len, description["paths"].values()))
    browser.wait(f"document.querySelectorAll('section').length === {operations}")
    browser.screenshot("docs")
    assert guarded.stop() == 0


def opened(browser, server, context="red green blue", replies=("red green q", "x y z")):
    """Opens the page with these texts."""
    browser.open(server.url)
    browser.wait("document.getElementById('model').value")
    fill(browser, context, replies)


def ranked(browser, server, *texts):
    """Opens the page and ranks these texts."""
    opened(browser, server, *texts)
    browser.run(RANK)
    browser.wait(DONE)


@pytest.fixture
def emulated(browser):
    yield browser
    browser.show()


def test_no_width_scrolls_sideways_and_a_reply_has_half_of_the_narrowest(emulated, server):
    replies = ["word " * 200, "unbreakable" * 20, "red"]
    widths = "return [document.documentElement.scrollWidth, innerWidth]"
    for width in (320, 400, 768, 1200, 1600):
        emulated.show(width=width)
        ranked(emulated, server, "red", replies)
        content, window = emulated.run(widths)
        assert content <= window == width
        shown = emulated.run(
            "return [...document.querySelectorAll('.reply')].map((r) => "
            "r.getBoundingClientRect().width)"
        )
        assert min(shown) >= 160
        emulated.open(f"{server.url}/docs")
        emulated.wait("document.querySelectorAll('section').length")
        emulated.run("for (const part of document.querySelectorAll('details')) part.open = true")
        content, window = emulated.run(widths)
        assert content <= window


def test_each_text_has_its_own_direction(browser, server):
    hebrew, arabic = "\u05e9\u05dc\u05d5\u05dd a", "\u0645\u0631\u062d\u0628\u0627"
    ranked(browser, server, arabic, [hebrew, "left to right"])
    direction = "return getComputedStyle(document.getElementById(arguments[0])).direction"
    assert browser.run(direction, "context") == "rtl"
    directions = dict(
        browser.run(
            "return [...document.querySelectorAll('.reply')].map((reply) => "
            "[reply.textContent, getComputedStyle(reply).direction])"
        )
    )
    assert directions == {hebrew: "rtl", "left to right": "ltr"}


def test_the_matrix_can_be_read_in_both_colour_schemes(emulated, server):
    texts = ["red green blue", "red green q", "red x y", "x y z"]
    colours = """return [...document.querySelectorAll('#picture rect')].map((cell) =>
        [cell, cell.nextSibling].map((part) => getComputedStyle(part).fill))"""
    seen = []
    for scheme in ("light", "dark"):
        emulated.show(scheme=scheme)
        ranked(emulated, server, texts[0], texts)
        cells = [[_rgb(colour) for colour in cell] for cell in emulated.run(colours)]
        assert len(cells) == 25
        assert min(_contrast(*cell) for cell in cells) >= 4.5
        assert len({cell[0] for cell in cells}) > 4
        seen.append(cells)
    assert seen[0] != seen[1]


def _rgb(colour):
    """Returns red, green and blue, 0 to 1, of a computed colour."""
    numbers = colour.partition("(")[2].rstrip(")").replace("srgb", "").replace(",", " ").split()
    scale = 1 if "srgb" in colour else 255
    return tuple(float(number) / scale for number in numbers[:3])


def _contrast(first, second):
    """The contrast ratio of the Web Content Accessibility Guidelines."""

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted(map(luminance, (first, second)))
    return (light + 0.05) / (dark + 0.05)


def test_ctrl_enter_ranks_and_the_focus_stays(browser, server):
    opened(browser, server)
    browser.press("#replies", f"{CONTROL}{ENTER}{RELEASE}")
    browser.wait(DONE)
    assert browser.run(FOCUS) == "replies"
    assert browser.run("return document.getElementById('replies').value") == "red green q\nx y z"
    browser.run("document.getElementById('status').textContent = ''")
    browser.press("#submit", ENTER)
    browser.wait(DONE)
    assert browser.run(FOCUS) == "submit"


def test_progress_is_shown_while_the_server_works(browser, server):
    opened(browser, server)
    browser.run("""const send = fetch; window.release = () => {};
        window.fetch = async (...request) => {
            await new Promise((resolve) => { window.release = resolve; });
            return send(...request);
        };""")
    browser.press("#submit", ENTER)
    assert browser.run("return document.getElementById('progress').offsetParent !== null")
    assert browser.run(f"return {STATUS}").startswith("Encoding")
    browser.wait(f"{STATUS}.includes('1 s')")
    assert browser.run("return document.getElementById('submit').ariaDisabled") == "true"
    browser.press("#submit", ENTER)  # which must not send another request
    browser.run("window.release()")
    browser.wait(DONE)
    assert browser.run("return document.getElementById('progress').offsetParent === null")
    assert browser.run("return document.getElementById('submit').ariaDisabled") is None


@pytest.mark.parametrize(
    ("context", "replies", "message", "field"),
    [
        (" \n ", ["a"], "The context is blank: write a text to answer.", "context"),
        ("a", [" ", ""], "Write at least one reply.", "replies"),
    ],
)
def test_a_blank_field_is_reported_and_gets_the_focus(
    browser, server, context, replies, message, field
):
    opened(browser, server, context, replies)
    browser.press("#submit", ENTER)
    assert browser.run(f"return {STATUS}") == message
    assert browser.run(FOCUS) == field
    assert browser.run(f"return document.getElementById('{field}').ariaInvalid") == "true"
    fill(browser, "a", ["b"])
    browser.run(RANK)
    browser.wait(DONE)
    assert browser.run(f"return document.getElementById('{field}').ariaInvalid") is None


def test_a_truncated_context_is_marked_and_a_long_reply_is_folded(browser, server):
    long = "word " * 100
    ranked(browser, server, long, [long, "short"])
    note = "document.getElementById('context-note')"
    assert browser.run(f"return {note}.textContent") == (
        "The context is truncated: the model read its first 32 tokens."
    )
    assert browser.run(f"return {note}.offsetParent !== null")
    height = "return document.querySelector('.reply').offsetHeight"
    folded = browser.run(height)
    assert browser.run("return document.querySelectorAll('.fold').length") == 1
    assert browser.run(f"return {REPLIES}")[0] == long.strip()
    browser.press(".fold", ENTER)
    assert browser.run(height) > folded
    assert browser.run("return document.querySelector('.fold').ariaExpanded") == "true"
    browser.press(".fold", ENTER)
    assert browser.run(height) == folded
    browser.press("#context", "x")
    assert browser.run(f"return {note}.offsetParent === null")


def test_the_copied_command_makes_the_same_request(browser, server):
    nasty = ['it\'s "quoted" \\ and \\n', "$HOME `id` !! %41", "caf\u00e9 \U0001f600 ; | & <"]
    ranked(browser, server, "a 'b' \\", nasty)
    browser.press("#copy", ENTER)
    browser.wait("document.getElementById('copied').textContent === 'Copied.'")
    browser.run("document.getElementById('replies').value = ''")
    browser.press("#replies", f"{CONTROL}v{RELEASE}")
    command = browser.run("return document.getElementById('replies').value")
    assert command == browser.run("return document.getElementById('command').textContent")
    run = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    expected = httpx.post(
        f"{server.url}/v1/models/tiny:predict", json={"inputs": ["a 'b' \\", *nasty]}
    )
    assert json.loads(run.stdout)["outputs"] == expected.json()["outputs"]


def test_the_examples_of_the_interface_can_be_run(browser, server):
    browser.open(f"{server.url}/docs#similarity")
    browser.wait("document.querySelectorAll('#similarity pre').length")
    assert browser.wait("scrollY") > 500
    parts = "return [...document.querySelectorAll('#similarity > pre')].map((p) => p.textContent)"
    command, expected = browser.run(parts)
    assert server.url in command
    run = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert json.loads(run.stdout) == pytest.approx(json.loads(expected), abs=2e-4)


ANSWERS = {
    'new Response(\'{"error": "x"}\', {status: 401})': "This server needs a key",
    "new Response('{}', {status: 429, headers: {'Retry-After': '7'}})": "Try again in 7 seconds.",
    "new Response('{}', {status: 503})": "The server is stopping or starting.",
    "new Response('{}', {status: 504})": "The server took too long.",
    "new Response('<html>', {status: 502})": "is there a proxy before it that fails?",
    "new Response('<html>', {status: 200})": "is there a proxy before it that fails?",
    'new Response(\'{"error": {"message": "too many"}}\', {status: 400})': "too many",
    "Promise.reject(new TypeError('Failed to fetch'))": "The server does not respond",
}


def test_errors_are_told_in_words(browser, server):
    opened(browser, server)
    for answer, message in ANSWERS.items():
        browser.run(f"window.fetch = async () => {answer}")
        browser.run(RANK)
        browser.wait("document.getElementById('status').className === 'error'")
        assert message in browser.run(f"return {STATUS}")
        assert (browser.run(FOCUS) == "key") == ("key" in message)
        browser.run("document.activeElement.blur()")


def test_old_results_are_greyed_while_the_server_is_gone(browser, start, tiny_base):
    leaving = start(tiny_base)
    ranked(browser, leaving)
    opacity = "return Number(getComputedStyle(document.getElementById('results')).opacity)"
    assert browser.run(opacity) == 1
    leaving.process.kill()
    leaving.process.wait()
    browser.run(RANK)
    browser.wait("document.getElementById('status').className === 'error'")
    status = browser.run(f"return {STATUS}")
    assert status.startswith("The server does not respond")
    assert status.endswith("The results below are of an earlier request.")
    assert browser.run(opacity) < 0.6
    assert browser.run(f"return {REPLIES}") == ["red green q", "x y z"]
    back = start(tiny_base, "--port", leaving.url.rpartition(":")[2])
    browser.wait(f"{STATUS} === 'The server responds again.'")
    browser.run(RANK)
    browser.wait(DONE)
    assert browser.run(opacity) == 1
    assert back.stop() == 0
