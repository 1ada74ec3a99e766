"""Input files are found by path, folder, glob and list, and divided among workers."""

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import input_files
from rejoinder.storage import FileEntry


@pytest.fixture
def folder(tmp_path):
    for name in ("RC_2.zst", "RC_1.zst", "notes.txt", "RS_1.zst"):
        (tmp_path / name).write_bytes(b"x" * 10)
    return tmp_path


def names(*patterns, **options) -> list[str]:
    found = input_files.expand([str(pattern) for pattern in patterns], **options)
    assert all(file.size == 10 for file in found)
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


def test_the_number_of_buckets_depends_on_the_decompressed_size():
    assert input_files.choose_buckets([FileEntry("RC", 1)]) == 4
    plain = input_files.choose_buckets([FileEntry("RC", 100 << 30)])
    assert plain == 400
    assert input_files.choose_buckets([FileEntry("RC.zst", 10 << 30)]) == plain
