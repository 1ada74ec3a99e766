"""A tokenizer is checked before a job starts, with messages that name the user's files."""

import copy
import json
import shutil
from pathlib import Path

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.job import tokenizer_files

DELETE = object()


@pytest.fixture
def folder(tmp_path, tokenizer_folder) -> Path:
    return Path(shutil.copytree(tokenizer_folder, tmp_path / "tokenizer"))


def message(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        tokenizer_files.read_files(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_loaded_tokenizer_is_that_of_the_folder(folder, tokenizer_folder):
    from rejoinder.models.tokenizer import Tokenizer

    files = tokenizer_files.read_files(str(folder))
    expected = Tokenizer.from_folder(tokenizer_folder)
    assert tokenizer_files.load(files).fingerprint == expected.fingerprint


def test_workers_on_the_same_disk_read_the_files_that_the_command_read(folder, tmp_path):
    files = tokenizer_files.read_files(str(folder))
    tokenizer_files.store(str(tmp_path / "staging"), files)
    assert tokenizer_files.stored(str(tmp_path / "staging")) == files


def move_below(folder: Path) -> None:
    """Makes the folder one of the old sentence-transformers layout."""
    below = folder / "0_Transformer"
    below.mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(below / path.name)
    modules = [
        {"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))


def test_the_tokenizer_of_an_old_sentence_transformers_folder_is_found(folder):
    files = tokenizer_files.read_files(str(folder))
    move_below(folder)
    assert tokenizer_files.read_files(str(folder)) == files


def test_the_tokenizer_of_an_old_model_on_the_hub_is_found(folder, monkeypatch):
    files = tokenizer_files.read_files(str(folder))
    move_below(folder)

    def cached_file(model, name, **options):
        assert model == "owner/model"
        return str(folder / name) if (folder / name).exists() else None

    monkeypatch.setattr("transformers.utils.cached_file", cached_file)
    assert tokenizer_files.read_files("owner/model") == files
    (folder / "0_Transformer" / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"owner/model/0_Transformer: holds no tokenizer\.json"):
        tokenizer_files.read_files("owner/model")


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        ("{", "cannot be read as JSON"),
        ('[{"type": "Transformer", "path": "../other"}]', "leaves the folder of the model"),
        ('[{"type": "WordEmbeddings", "path": ""}]', "must begin with a Transformer"),
        ('[{"type": "Transformer"}]', "must list modules with type and path"),
        ('[{"type": "Transformer", "path": 5}]', "must list modules with type and path"),
    ],
)
def test_broken_modules_are_errors_that_name_the_file(folder, modules, reason):
    move_below(folder)
    (folder / "modules.json").write_text(modules)
    assert message(folder).startswith(f"{folder}/modules.json: ")
    assert reason in message(folder)


def test_loading_needs_no_temporary_folder(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    tokenizer_files.load.__wrapped__(tokenizer_files.read_files(str(folder)))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{\0}\0", b"[1]", b"null", b"{}"])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_broken_files_are_errors_that_name_them(folder, name, content):
    (folder / name).write_bytes(content)
    if (name, content) != ("tokenizer_config.json", b"{}"):
        assert message(folder).startswith(f"{folder}/{name}: ")


def test_a_file_that_is_not_utf8_is_an_error_that_names_it(folder):
    (folder / "vocab.txt").write_bytes(b"caf\xe9\n")
    assert message(folder) == f"{folder}/vocab.txt: is not UTF-8; copy the tokenizer again"


def test_every_damaged_key_is_an_error_or_has_a_default(folder):
    """Each key of `tokenizer.json` is deleted or gets a value of another type."""
    whole = json.loads((folder / "tokenizer.json").read_text())

    def paths(value, prefix=()):
        for key, inner in value.items() if isinstance(value, dict) else ():
            yield (*prefix, key)
            if prefix != ("model",):  # the vocabulary's tokens are many and alike
                yield from paths(inner, (*prefix, key))

    errors: dict[tuple[str, ...], str] = {}
    for path in paths(whole):
        for value in (DELETE, None, 5, "text", [], {}, -1):
            data = copy.deepcopy(whole)
            parent = data
            for key in path[:-1]:
                parent = parent[key]
            parent[path[-1]] = value
            if value is DELETE:
                del parent[path[-1]]
            (folder / "tokenizer.json").write_text(json.dumps(data))
            try:
                tokenizer_files.read_files(str(folder))
            except UserError as error:
                errors[path] = str(error)
    prefix = f"{folder}/tokenizer.json: "
    assert all(error.startswith(prefix) for error in errors.values())
    assert errors.keys() >= {
        ("normalizer", "type"),
        ("normalizer", "lowercase"),
        ("pre_tokenizer",),
        ("post_processor", "sep"),
        ("model", "vocab"),
        ("model", "unk_token"),
        ("model", "max_input_chars_per_word"),
    }


def test_an_empty_name_and_a_folder_without_tokenizer_are_errors(tmp_path):
    with pytest.raises(UserError, match="--tokenizer: is empty; give a folder or a hub name"):
        tokenizer_files.read_files("")
    with pytest.raises(UserError, match=r"holds no tokenizer\.json; give the folder of a fast"):
        tokenizer_files.read_files(str(tmp_path))
