"""Subreddit names are read in every form in which users write them."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.errors import UserError
from rejoinder.pipelines.reddit.subreddits import parse_names


@pytest.mark.parametrize(
    "value",
    [
        "news",
        "News",
        "r/news",
        "R/NEWS",
        "/r/news",
        "/r/news/",
        "r/news/comments/5h6yvl/title/",
        "https://www.reddit.com/r/news",
        "http://old.reddit.com/r/news/top/?t=all",
        "reddit.com/r/news",
        "np.reddit.com/r/News/",
        "https://reddit.com/r/news?sort=new",
        "news,",
        " news ",
    ],
)
def test_every_way_to_write_a_subreddit_is_its_name(value):
    assert parse_names("--subreddits", [value]) == ("news",)


def test_lists_have_all_their_names_once():
    for values in (
        ["news,pics"],
        ["pics", "news"],
        ["news, r/pics"],
        ["r/news+pics"],
        ["https://www.reddit.com/r/pics+News/"],
        ["news pics news,Pics"],
    ):
        assert parse_names("--subreddits", values) == ("news", "pics")


def test_pages_of_users_and_the_oldest_subreddits_are_names():
    for value, name in {
        "u/some-user": "u_some-user",
        "/user/Some_User/": "u_some_user",
        "https://www.reddit.com/user/abc/comments": "u_abc",
        "u_abc": "u_abc",
        "reddit.com": "reddit.com",
        "r/reddit.com": "reddit.com",
        "t:1337": "t:1337",
        "de": "de",
        "https://www.reddit.com/r/reddit.com/": "reddit.com",
    }.items():
        assert parse_names("--subreddits", [value]) == (name,), value


@pytest.mark.parametrize(
    "value",
    ["n", "x" * 22, "news*", "new-s", "r/", "/", "https://example.com/r/news", "news;pics", "r/a"],
)
def test_what_cannot_be_a_subreddit_is_an_error(value):
    with pytest.raises(UserError, match=r"--block-subreddits: '.*' is not the name of a subreddit"):
        parse_names("--block-subreddits", [value])


@pytest.mark.parametrize("value", ["", " ", ",", "\n"])
def test_an_empty_value_is_an_error(value):
    with pytest.raises(UserError, match=r"--subreddits .*: names no subreddit"):
        parse_names("--subreddits", ["news", value])


def test_a_file_of_names_is_read(tmp_path):
    file = tmp_path / "names.txt"
    file.write_bytes("\ufeffr/News\r\npics, science\n\n/r/AskReddit/\n".encode())
    assert parse_names("--subreddits", [f"@{file}", "de"]) == (
        "askreddit",
        "de",
        "news",
        "pics",
        "science",
    )


def test_unusable_files_are_errors_that_name_them(tmp_path):
    empty, wrong, latin = tmp_path / "empty", tmp_path / "wrong", tmp_path / "latin"
    empty.write_text(" \n")
    wrong.write_text("news\nnot a-name\n")
    latin.write_bytes(b"n\xe9ws\n")
    for path, message in [
        (empty, "empty: names no subreddit"),
        (wrong, "wrong: 'a-name' is not the name"),
        (latin, r"latin: cannot be read \(it is not UTF-8\)"),
        (tmp_path / "missing", r"missing: cannot be read \(No such file"),
        (tmp_path, r": cannot be read \(Is a directory"),
    ]:
        with pytest.raises(UserError, match=f"^--subreddits @.*{message}"):
            parse_names("--subreddits", [f"@{path}"])


@given(st.text(string.ascii_letters + string.digits + "_", min_size=2, max_size=21))
def test_the_result_is_read_as_itself(name):
    found = parse_names("--subreddits", [f"https://www.reddit.com/r/{name}/comments"])
    assert found == parse_names("--subreddits", found) == (name.lower(),)
