"""Which folders a command may write or replace. No test here deletes a folder."""

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.errors import UserError
from rejoinder.output import (
    FolderKind,
    Place,
    check_contents,
    check_output,
    check_place,
    is_inside,
    names,
    resolve,
    staging_folder,
)

PLACE = Place(
    current="/data/work/here",
    home="/home/user",
    inputs=(("--input", "/dumps/2015/RC_2015-01.zst"), ("--tokenizer", "/models/tokenizer")),
)


def refusal(check, *arguments, **options) -> str:
    """Returns the message with which a check refuses its arguments, "" if it accepts them."""
    try:
        check(*arguments, **options)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/", "is the root of the file system"),
        ("/data/work/here", "is the current folder"),
        ("/data/work", "contains the current folder"),
        ("/data", "contains the current folder"),
        ("/home/user", "is the home folder"),
        ("/home", "contains the home folder"),
        ("/dumps/2015/RC_2015-01.zst", "is --input /dumps/2015/RC_2015-01.zst"),
        ("/dumps/2015", "contains --input /dumps/2015/RC_2015-01.zst"),
        ("/dumps", "contains --input"),
        ("/models/tokenizer", "is --tokenizer /models/tokenizer"),
        ("/models", "contains --tokenizer"),
    ],
)
def test_a_folder_that_holds_something_of_the_user_is_refused(path, reason):
    with pytest.raises(UserError, match=f"^--output {path}: {reason}.*; name a new folder$"):
        check_place(path, path, PLACE)


@pytest.mark.parametrize(
    "path",
    [
        "/data/work/here/corpus",
        "/data/work/here2",
        "/data/work/her",
        "/home/user/corpus",
        "/home/user2",
        "/dumps/2015/corpus",
        "/models/tokenizer/corpus",
        "/corpus",
        "gs://bucket/corpus",
    ],
)
def test_a_folder_beside_or_below_is_accepted(path):
    check_place(path, path, PLACE)


@pytest.mark.parametrize(
    ("current", "home", "source", "reason"),
    [
        ("/x/out.staging/sub", "/h", "/in", "contains the current folder"),
        ("/c", "/x/out.staging", "/in", "is the home folder"),
        ("/c", "/h", "/x/out.staging/RC_1", "contains --input"),
    ],
)
def test_the_staging_folder_beside_the_output_is_checked_too(current, home, source, reason):
    place = Place(current, home, (("--input", source),))
    with pytest.raises(UserError, match=f"^--output /x/out: its staging folder {reason}"):
        check_place("/x/out", "/x/out", place)


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_an_input_in_a_bucket_is_protected_too(scheme):
    place = Place("/c", "/h", (("--input", f"{scheme}://bucket/dumps/RC_1"),))
    for path in (f"{scheme}://bucket/dumps", f"{scheme}://bucket/dumps/RC_1"):
        with pytest.raises(UserError, match="--input"):
            check_place(path, path, place)
    check_place("x", f"{scheme}://bucket/dumps/corpus", place)
    check_place("x", f"{scheme}://bucket/dump", place)


_PATHS = st.lists(st.sampled_from(["a", "b", "a.staging", "ab"]), max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@given(_PATHS, _PATHS, _PATHS, st.lists(_PATHS, max_size=3))
def test_a_path_is_accepted_exactly_if_it_is_above_nothing_of_the_user(path, current, home, inputs):
    place = Place(current, home, tuple(("--input", entry) for entry in inputs))

    def is_above(folder: str, entry: str) -> bool:
        below = PurePosixPath(entry)
        return PurePosixPath(folder) in (below, *below.parents)

    protected = [current, home, *inputs]
    expected = path == "/" or any(
        is_above(folder, entry) for folder in (path, f"{path}.staging") for entry in protected
    )
    message = refusal(check_place, path, path, place)
    assert bool(message) == expected, message
    assert "\n" not in message


@given(_PATHS, _PATHS)
def test_the_staging_folder_is_neither_inside_nor_around_its_output(path, other):
    staging = staging_folder(path if path != "/" else "/a")
    assert not is_inside(staging, path if path != "/" else "/a")
    assert is_inside(other, "/")


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "the path is empty"),
        ("  ", "the path is empty"),
        ("~", "did not replace ~"),
        ("~/corpus", "did not replace ~"),
        ("~user/corpus", "did not replace ~"),
        ("gs:/bucket/corpus", "two slashes after gs:"),
        ("gs:bucket", "two slashes after gs:"),
        ("s3:/bucket/corpus", "two slashes after s3:"),
        ("file:/corpus", "two slashes after file:"),
        ("gs://", "is a whole bucket"),
        ("gs://bucket", "is a whole bucket"),
        ("gs://bucket/", "is a whole bucket"),
        ("s3://bucket", "is a whole bucket"),
        ("http://host/corpus", "http:// is not supported"),
        ("az://container/corpus", "az:// is not supported"),
    ],
)
def test_a_path_that_cannot_be_meant_is_refused(output, reason):
    with pytest.raises(UserError, match=reason) as caught:
        resolve(output)
    assert "\n" not in str(caught.value)


def test_a_path_is_resolved_behind_links_dots_and_slashes(tmp_path, monkeypatch):
    (tmp_path / "one" / "two" / "three").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "one" / "two" / "three")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    (tmp_path / "dangling").symlink_to(tmp_path / "one" / "missing")
    base = os.path.realpath(tmp_path)
    assert resolve("out//") == f"{base}/one/two/three/out"
    assert resolve("../x/../out/.") == f"{base}/one/two/out"
    assert resolve(f"{tmp_path}/link/out") == f"{base}/one/out"
    assert resolve(f"{tmp_path}/dangling") == f"{base}/one/missing"
    assert resolve("/") == "/"
    assert resolve("//") == "/"
    assert resolve(f"/{tmp_path}/link/out") == f"{base}/one/out"
    assert resolve("gs://bucket/corpus//") == "gs://bucket/corpus"


def test_the_files_of_a_folder_are_named_once_with_links_and_empty_folders(tmp_path):
    (tmp_path / "sub" / "empty").mkdir(parents=True)
    (tmp_path / "sub" / "file").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "link").symlink_to("/")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert list(names(str(tmp_path))) == [".hidden", "dangling", "link", "sub/empty/", "sub/file"]


_NAMES = st.lists(st.sampled_from(["a", "b", "sub/a", "sub/empty/", "list"]), unique=True)


@given(_NAMES, st.none() | _NAMES, _NAMES, st.booleans())
def test_a_folder_is_replaced_exactly_if_its_own_list_names_everything_in_it(
    found, listed, unfinished, overwrite
):
    foreign = sorted({*found} - {*(listed or ()), *unfinished})
    expected = not foreign and (listed is None or overwrite)
    arguments = {"noun": "corpus", "overwrite": overwrite, "unfinished": unfinished}
    message = refusal(check_contents, "out", iter(sorted(found)), listed, **arguments)
    assert bool(message) != expected
    assert ("--overwrite" in message) == (not expected and not foreign)
    assert not foreign or f"holds {foreign[0]}" in message


LISTED = FolderKind(
    "demo", lambda folder: {"list", "a"} if os.path.exists(f"{folder}/list") else None
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A current folder and a home folder, three deep in a temporary tree."""
    folder = tmp_path / "one" / "two" / "three"
    (folder / "home").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_file_is_named_and_overwrite_is_not_recommended(place, overwrite):
    (place / "out").mkdir()
    (place / "out" / "thesis.tex").touch()
    with pytest.raises(UserError) as caught:
        check_output("out", LISTED, overwrite=overwrite)
    assert str(caught.value) == (
        "out: holds thesis.tex and no finished demo, so nothing there is replaced; "
        "choose another --output"
    )
    (place / "out" / "list").touch()
    with pytest.raises(UserError) as caught:
        check_output("out", LISTED, overwrite=overwrite)
    assert str(caught.value) == (
        "out: holds thesis.tex, which is not a file of the demo there, so nothing there is "
        "replaced; move it away or choose another --output"
    )


def test_a_finished_folder_needs_overwrite_and_an_empty_one_does_not(place):
    (place / "out").mkdir()
    assert check_output("out", LISTED, overwrite=False) == str(place / "out")
    (place / "out" / "list").touch()
    (place / "out" / "a").touch()
    with pytest.raises(UserError, match=r"holds a finished demo; .* or give --overwrite"):
        check_output("out", LISTED, overwrite=False)
    assert check_output("out", LISTED, overwrite=True) == str(place / "out")


def test_a_link_is_resolved_before_the_rules_apply(place):
    (place / "to_home").symlink_to(place / "home")
    with pytest.raises(UserError, match=r"--output to_home \(.*/home\): is the home folder"):
        check_output("to_home", LISTED, overwrite=True)
    (place / "data").mkdir()
    (place / "data" / "file").touch()
    (place / "to_data").symlink_to("data")
    with pytest.raises(UserError, match=r"^to_data \(.*/data\): holds file and no finished demo"):
        check_output("to_data", LISTED, overwrite=True)
    (place / "data" / "file").unlink()
    assert check_output("to_data", LISTED, overwrite=True) == str(place / "data")


def test_an_input_is_protected_through_links(place):
    (place / "dumps").mkdir()
    (place / "dumps" / "RC_1").touch()
    (place / "link").symlink_to("dumps")
    inputs = [("--input", "link/RC_1"), ("--tokenizer", "organisation/name-on-the-hub")]
    with pytest.raises(UserError, match=r"contains --input .*/dumps/RC_1"):
        check_output("dumps", LISTED, overwrite=True, inputs=inputs)
    assert check_output("organisation", LISTED, overwrite=True, inputs=inputs)


@pytest.mark.parametrize("output", ["", ".", "..", "../..", "./", "home", "home/.."])
def test_the_usual_slips_are_refused(place, output):
    with pytest.raises(UserError, match=r"^--output.*: "):
        check_output(output, LISTED, overwrite=True)


def test_a_file_is_refused(place):
    (place / "out").touch()
    with pytest.raises(UserError, match=r"^out: is a file; --output names a folder"):
        check_output("out", LISTED, overwrite=True)
