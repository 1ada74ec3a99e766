"""Input files are found by path, folder, glob and list, and divided among workers."""

import os

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import input_files
from rejoinder.storage import FileEntry


@pytest.fixture
def folder(tmp_path):
    for name in ("RC_2.zst", "RC_1.zst", "notes.txt", "RS_1.zst"):
        (tmp_path / name).write_bytes(b"x" * 10)
    return tmp_path


def names(*patterns, size: int = 10, **options) -> list[str]:
    found = input_files.expand([str(pattern) for pattern in patterns], **options)
    assert all(file.size == size for file in found)
    return [file.path.rsplit("/", 1)[-1] for file in found]


def test_a_folder_means_its_dumps_in_order(folder):
    assert names(folder) == ["RC_1.zst", "RC_2.zst"]
    assert names(folder, default_patterns=["*.txt"]) == ["notes.txt"]


def test_globs_and_lists_name_each_file_once(folder):
    both = ["RC_1.zst", "RC_2.zst"]
    assert names(f"{folder}/RC_*", f"{folder}/RC_1.zst") == both
    assert names(f"{folder}/RC_2.zst,{folder}/RC_1.zst") == both


def test_a_pattern_that_matches_nothing_is_an_error(folder):
    for pattern in (f"{folder}/RC_9.zst", f"{folder}/*.gz"):
        with pytest.raises(UserError, match="no such file, and no file matches this pattern"):
            names(folder, pattern)


def test_submissions_are_an_error_unless_accepted(folder):
    with pytest.raises(UserError, match=r"RS_1\.zst: RS_ files hold submissions, not comments"):
        names(f"{folder}/R*")
    assert names(f"{folder}/RS*", accept_submissions=True) == ["RS_1.zst"]


def test_only_large_files_are_divided_and_every_byte_is_in_one_part():
    files = [FileEntry("RC_1.zst", 100 << 20), FileEntry("RC_2.zst", 1 << 20)]
    assert [part.is_last for part in input_files.divide(files, 1)] == [True, True]
    parts = input_files.divide(files, 4)
    large = [part for part in parts if part.path == "RC_1.zst"]
    assert len(large) == 4
    assert len(parts) == 5
    assert large[0].begin == 0
    assert [part.end for part in large[:-1]] == [part.begin for part in large[1:]]
    assert sum(part.length for part in large) == 100 << 20
    lengths = [part.length for part in large]
    assert lengths == sorted(lengths, reverse=True), "later parts decompress more before they begin"


@pytest.mark.parametrize(
    ("name", "size", "parts"),
    [
        ("RC.zst", 200 << 20, 1),
        ("RC.zst", 300 << 20, 2),
        ("RC.zst", 1 << 30, 4),
        ("RC.zst", 15 << 30, 8),
        ("RC", 15 << 30, 8),
        ("RC.gz", 15 << 30, 4),
        ("RC.xz", 15 << 30, 2),
        ("RC.bz2", 15 << 30, 2),
    ],
)
def test_on_a_cluster_the_number_of_parts_follows_from_size_and_compression(name, size, parts):
    files = [FileEntry(name, size), FileEntry("RC_small.zst", 1 << 20)]
    made = input_files.divide(files, None)
    assert [part.path for part in made] == [name] * parts + ["RC_small.zst"]
    lengths = [part.length for part in made[:-1]]
    assert sum(lengths) == size
    assert min(lengths) >= max(lengths) / 8


def test_the_parts_that_take_longest_come_first():
    sizes = {"RC_1": 200, "RC_2.zst": 100, "RC_3.zst": 5, "RC_4.bz2": 60}
    files = [FileEntry(name, size << 20) for name, size in sizes.items()]
    for workers in (1, None):
        found = [part.path for part in input_files.divide(files, workers)]
        assert list(dict.fromkeys(found)) == ["RC_2.zst", "RC_4.bz2", "RC_1", "RC_3.zst"]


def test_a_file_is_not_divided_among_more_workers_than_save_time():
    large = [FileEntry("RC.zst", 15 << 30)]
    assert len(input_files.divide(large, 192)) == 8
    months = [FileEntry(f"RC_{month:02d}.zst", 1 << 30) for month in range(48)]
    assert len(input_files.divide(months, 192)) == 48 * 4


def test_the_number_of_buckets_depends_on_the_decompressed_size():
    assert input_files.choose_buckets([FileEntry("RC", 1)]) == 4
    plain = input_files.choose_buckets([FileEntry("RC", 100 << 30)])
    assert plain == 400
    assert input_files.choose_buckets([FileEntry("RC.zst", 10 << 30)]) == plain


def test_files_beside_the_dumps_are_ignored_with_a_note(folder, capsys):
    companions = ("RC_1.zst.sha256", "RC_1.zst.torrent", "RC_2.zst.part", "RC_3.zst.crdownload")
    for name in companions:
        (folder / name).write_bytes(b"x" * 10)
    for given in (folder, f"{folder}/RC_*"):
        assert names(given) == ["RC_1.zst", "RC_2.zst"]
        assert capsys.readouterr().err == "ignored RC_1.zst.sha256 and 3 more: not dumps\n"
    assert names(f"{folder}/RC_2.zst.part") == ["RC_2.zst.part"]
    with pytest.raises(UserError, match=r"matches only RC_1\.zst\.sha256, which are not dumps"):
        names(f"{folder}/*.sha256")


def test_an_unfinished_download_under_the_dumps_own_name_is_reported(folder, capsys):
    (folder / "RC_1.zst.aria2").write_bytes(b"")
    assert names(folder) == ["RC_1.zst", "RC_2.zst"]
    assert "RC_1.zst.aria2: the download of the file beside it is not finished" in (
        capsys.readouterr().err
    )


def test_a_folder_without_dumps_says_what_to_give(tmp_path):
    def message(*files: str) -> str:
        for file in files:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_bytes(b"")
        with pytest.raises(UserError) as caught:
            names(tmp_path)
        return str(caught.value)

    prefix = f"{tmp_path}: no such file in this folder: RC_*; "
    assert message() == f"{prefix}it has no files"
    assert message("deep/RC_1") == f"{prefix}give the folder {tmp_path}/deep"
    given = f"{tmp_path}/*.zst"
    assert message("news.zst", "pics.zst", "pics.zst.torrent") == (
        f"{prefix}it has news.zst and 1 more; give a glob, such as '{given}'"
    )
    assert names(given, default_patterns=[], size=0) == ["news.zst", "pics.zst"]


def test_an_empty_input_is_an_error(folder):
    for given in ("", " "):
        with pytest.raises(UserError, match="--input: is empty; give a file, a folder or a glob"):
            names(folder, given)


def test_globs_in_the_current_folder_and_folders_with_brackets_are_read(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert names("RC_*") == names(".") == ["RC_1.zst", "RC_2.zst"]
    (folder / "in [1]").mkdir()
    (folder / "in [1]" / "RC_5").write_bytes(b"x" * 10)
    assert names(folder / "in [1]") == ["RC_5"]


def test_a_comma_in_the_name_of_a_file_is_part_of_it(folder):
    (folder / "a,b").write_bytes(b"x" * 10)
    assert names(f"{folder}/a,b") == ["a,b"]


def test_parts_of_a_path_with_a_space_are_an_error_that_asks_for_quotes(folder):
    (folder / "a b").write_bytes(b"x" * 10)
    assert names(f"{folder}/a b") == ["a b"]
    with pytest.raises(UserError, match=r"quote a path with a space, .* make splits INPUT"):
        names(*f"{folder}/a b".split(" "))


def test_a_home_folder_that_no_shell_expanded_and_one_slash_are_errors():
    with pytest.raises(UserError, match=r"^~/RC_1: no such file.*the shell expands ~ only"):
        names("~/RC_1")
    with pytest.raises(UserError, match=r"^gs:/bucket/RC_1: .*; write gs:// with two slashes"):
        names("gs:/bucket/RC_1")


@pytest.mark.parametrize("scheme", ["http", "https", "file", "az", "abfs", "hdfs"])
def test_other_kinds_of_storage_are_errors_that_name_the_path(scheme):
    with pytest.raises(UserError, match=rf"^{scheme}://host/RC_1: {scheme}:// is not supported; "):
        names(f"{scheme}://host/RC_1")


def test_a_name_that_is_not_utf8_is_an_error_that_shows_it(tmp_path):
    (tmp_path / os.fsdecode(b"RC_caf\xe9")).write_bytes(b"")
    with pytest.raises(UserError, match=r"RC_caf\\xe9: the name is not UTF-8; rename the file"):
        names(tmp_path)
