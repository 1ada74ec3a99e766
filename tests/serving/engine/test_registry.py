"""Versions that are copied slowly, that fail, and that are corrected."""

import asyncio
import json
import logging
import shutil
from types import SimpleNamespace

import pytest

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.saved_model.manifest import hash_files
from rejoinder.serving.apis.rest import model_status
from rejoinder.serving.engine import registry as registry_module
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.engine.version_files import _NOT_READ
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics
from rejoinder.serving.model_options import ModelOptions


@pytest.fixture
def loads(monkeypatch):
    """The folders of which loading was tried; a version named `broken` cannot be loaded."""
    tried = []

    class FakeVersion:
        manifest, precision, cosine = SimpleNamespace(precision="float32"), "float32", 1.0

        def __init__(self, folder, engine):
            tried.append(folder)
            if (folder / "saved_model.pb").read_bytes() == b"broken":
                raise ValueError("not a SavedModel")
            self.number = int(folder.name)

        def warm_up(self, tokens):
            return 0.0

    monkeypatch.setattr(registry_module, "ModelVersion", FakeVersion)
    monkeypatch.setattr(registry_module, "_freeze_objects", lambda: None)  # takes 0.3 s
    return tried


def write_version(folder, content=b"model"):
    """Writes a version folder with a true manifest, as a copy that is complete."""
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(content)
    (folder / "variables/variables.data").write_bytes(content * 10)
    write_manifest(folder)
    return folder


def write_manifest(folder, **changes):
    names = ("dimension", "max_length", "vocab_size", "pad_id", "parameters")
    values = dict.fromkeys(names, 1) | {"widths": [8], "versions": {}, "format_version": 1}
    texts = dict.fromkeys(("name", "tokenizer", "precision", "source"), "x")
    (folder / "manifest.json").unlink(missing_ok=True)
    values |= {"files": hash_files(folder), **texts, **changes}
    (folder / "manifest.json").write_text(json.dumps(values))


def make(base, **options):
    return Registry([ModelOptions("tiny", str(base), **options)], Limits(), Metrics())


def states(registry):
    statuses = model_status(registry, "tiny", None).model_version_status
    return {s.version: (s.State.Name(s.state), s.status.error_code) for s in statuses}


START, END, AVAILABLE = ("START", 0), ("END", 2), ("AVAILABLE", 0)


def slowly(source, target, names, temporary):
    """Copies a folder in pieces; yields after each piece.

    Args:
        source: The folder.
        target: The copy.
        names: Names of the files, in the order of the copy.
        temporary: Whether a file has another name until it is whole, as with rsync.
    """
    for name in names:
        content, path = (source / name).read_bytes(), target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        begun = path.with_name(f".{path.name}.aB3xY9") if temporary else path
        for end in (0, len(content) // 2, len(content)):
            begun.write_bytes(content[:end])
            yield
        begun.rename(path)
        yield


@pytest.mark.parametrize("temporary", [True, False], ids=["rsync", "kubectl cp"])
@pytest.mark.parametrize("reverse", [True, False])
def test_a_version_that_is_being_copied_is_waited_for(
    tiny_base, tmp_path, loads, temporary, reverse
):
    export = tiny_base / "1"
    write_version(tmp_path / "1")
    registry = make(tmp_path)
    names = sorted(str(p.relative_to(export)) for p in export.rglob("*") if p.is_file())
    # This server does not wait for the files that only TensorFlow Serving reads.
    names = [name for name in names if name not in _NOT_READ]
    names.sort(reverse=reverse)

    async def scenario():
        await registry.load_all()
        for _ in slowly(export, tmp_path / "2", names, temporary):
            if not all((tmp_path / "2" / name).exists() for name in names) or any(
                (tmp_path / "2" / name).stat().st_size < (export / name).stat().st_size
                for name in names
            ):
                await registry.look()
                assert states(registry) == {1: AVAILABLE, 2: START}
                assert registry.version("tiny").number == 1
        await registry.look()

    asyncio.run(scenario())
    assert states(registry) == {1: ("END", 0), 2: AVAILABLE}
    assert [folder.name for folder in loads] == ["1", "2"]


def test_a_real_export_is_loaded_when_its_copy_is_complete(tiny_base, tmp_path):
    export, base = tiny_base / "1", tmp_path / "tiny"
    shutil.copytree(export, base / "1")
    registry = make(base)

    async def scenario():
        await registry.load_all()
        shutil.copytree(export, base / "2", ignore=shutil.ignore_patterns("variables"))
        await registry.look()
        assert states(registry)[2] == START
        shutil.copytree(export / "variables", base / "2" / "variables")
        await registry.look()

    asyncio.run(scenario())
    assert states(registry)[2] == AVAILABLE
    assert len(registry.version("tiny").tokenize([b"hello"])[0][0]) == 3


def test_a_failed_version_is_tried_again_when_it_has_changed_and_not_before(tmp_path, loads):
    write_version(tmp_path / "1")
    registry = make(tmp_path)

    async def looks(count):
        for _ in range(count):
            await registry.look()

    async def scenario():
        await registry.load_all()
        write_version(tmp_path / "2", b"broken")
        await looks(5)
        assert states(registry) == {1: AVAILABLE, 2: END}
        assert len(loads) == 2
        shutil.rmtree(tmp_path / "2")
        write_version(tmp_path / "2", b"better")
        await looks(1)  # changed, and perhaps still changing
        assert states(registry) == {1: AVAILABLE, 2: START}
        assert len(loads) == 2
        await looks(2)

    asyncio.run(scenario())
    assert states(registry) == {1: ("END", 0), 2: AVAILABLE}
    assert len(loads) == 3


def test_a_damaged_copy_is_not_loaded_and_its_checksums_are_read_once(
    tmp_path, loads, monkeypatch, caplog
):
    write_version(tmp_path / "1")
    data = write_version(tmp_path / "2") / "variables/variables.data"
    content = data.read_bytes()
    data.write_bytes(b"x" * len(content))
    registry, opened = make(tmp_path, keep=None), []
    open_read = storage.open_read
    monkeypatch.setattr(storage, "open_read", lambda path: opened.append(path) or open_read(path))

    async def scenario():
        await registry.load_all()
        assert states(registry) == {1: AVAILABLE, 2: END}
        assert "variables/variables.data: has another sha256 than manifest.json" in caplog.text
        reads = len(opened)
        for _ in range(5):
            await registry.look()
        assert len(opened) == reads
        data.write_bytes(content)
        await registry.look()
        await registry.look()

    asyncio.run(scenario())
    assert states(registry) == {1: AVAILABLE, 2: AVAILABLE}
    assert [folder.name for folder in loads] == ["1", "2"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format_version is 2"),
        ({"files": {"../1/saved_model.pb": {"bytes": 5, "sha256": ""}}}, "outside the folder"),
        ({"files": {"/etc/passwd": {"bytes": 5, "sha256": ""}}}, "outside the folder"),
        ({"files": {"saved_model.pb": {"bytes": 5}}}, "has no size and sha256 of saved_model.pb"),
        ({"further": 1}, "not a manifest"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_an_error(tmp_path, loads, change, message):
    write_manifest(write_version(tmp_path / "1"), **change)
    with pytest.raises(UserError, match=message):
        asyncio.run(make(tmp_path).load_all())
    assert loads == []


def test_settings_of_tensorflow_serving_may_be_changed(tmp_path, loads):
    folder = write_version(tmp_path / "1")
    (folder / "batching_params.pbtxt").write_text("max_batch_size { value: 8 }")
    write_manifest(folder)
    (folder / "batching_params.pbtxt").write_text("max_batch_size { value: 64 }")
    asyncio.run(make(tmp_path).load_all())
    assert loads == [folder]


def test_a_start_during_a_copy_serves_the_version_before_it(tmp_path, loads):
    write_version(tmp_path / "1")
    write_version(tmp_path / "2", b"broken")
    (write_version(tmp_path / "3") / "saved_model.pb").unlink()
    registry = make(tmp_path)
    asyncio.run(registry.load_all())
    assert states(registry) == {1: AVAILABLE, 2: END, 3: START}


def test_a_start_without_any_complete_version_says_what_is_missing(tmp_path):
    (write_version(tmp_path / "3") / "saved_model.pb").write_bytes(b"mo")
    with pytest.raises(UserError, match=r"3: saved_model.pb has 2 of 5 bytes; is it still being c"):
        asyncio.run(make(tmp_path).load_all())


def test_a_folder_that_cannot_be_listed_is_logged_once_and_serving_goes_on(
    tmp_path, loads, monkeypatch, caplog
):
    write_version(tmp_path / "1")
    registry = make(tmp_path)

    def refuse(base):
        raise UserError(f"{base}: cannot be listed (timed out)")

    async def scenario():
        await registry.load_all()
        with monkeypatch.context() as patch:
            patch.setattr(registry_module, "published_versions", refuse)
            for _ in range(3):
                await registry.look()
        write_version(tmp_path / "2")
        await registry.look()

    asyncio.run(scenario())
    assert states(registry)[2] == AVAILABLE
    assert caplog.text.count("cannot look for new versions") == 1


def test_the_log_says_what_is_loaded_and_how_long_it_takes(tmp_path, loads, caplog):
    folder = write_version(tmp_path / "1")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    with caplog.at_level(logging.INFO, "rejoinder.serving"):
        asyncio.run(make(tmp_path).load_all())
    assert [record.getMessage().split(" in ")[0] for record in caplog.records] == [
        f"model tiny version 1: loading {tmp_path}/1 ({size} B)",
        "model tiny version 1: loaded",
        "model tiny version 1: tensorflow",
        "model tiny version 1: warmed up",
    ]
