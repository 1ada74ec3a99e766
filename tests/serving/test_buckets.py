"""Models in buckets: copied to this machine, checked, loaded, and looked for again."""

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.saved_model.bucket import publish_in_bucket
from rejoinder.serving.engine import registry as registry_module
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics
from rejoinder.serving.options import poll_seconds, read_models
from rejoinder.serving.parser import make_parser


@pytest.fixture
def base(request, tmp_path):
    scheme = getattr(request, "param", "gs")
    return f"{request.getfixturevalue(scheme)}/{tmp_path.name}"


both_stores = pytest.mark.parametrize("base", ["gs", "s3"], indirect=True)


@pytest.fixture
def publish(base, tiny_base):
    """Returns a function that publishes the tiny export as a version in the bucket."""

    def run(version):
        def write(folder):
            shutil.copytree(tiny_base / "1", folder, dirs_exist_ok=True)

        return publish_in_bucket(base, write, version=version, last="manifest.json")

    return run


@pytest.fixture
def quick(monkeypatch):
    """Versions that are not loaded, because these tests are about their files."""

    class FakeVersion:
        manifest, precision, cosine = SimpleNamespace(precision="float32"), "float32", 1.0

        def __init__(self, folder, engine):
            self.number = int(folder.name)

        def warm_up(self, tokens):
            return 0.0

    monkeypatch.setattr(registry_module, "ModelVersion", FakeVersion)
    monkeypatch.setattr(registry_module, "_freeze_objects", lambda: None)


@pytest.fixture
def registry(base, tmp_path):
    """Returns a function that makes the registry of the command line's options."""

    def make(*options):
        cache = ["--cache-dir", str(tmp_path / "cache")]
        args = make_parser("").parse_args(["--model", f"tiny={base}/", *cache, *options])
        return Registry(read_models(args), Limits(), Metrics())

    return make


def states(registry):
    return {number: state.state for number, state in registry.model("tiny").states.items()}


def copies(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").glob("*/[0-9]*"))


DATA = "variables/variables.data-00000-of-00001"


@both_stores
def test_a_version_in_a_bucket_is_copied_and_loaded(publish, registry, tmp_path):
    publish(3)
    served = registry()
    asyncio.run(served.load_all())
    version = served.version("tiny")
    assert (version.number, len(version.tokenize([b"hello"])[0][0])) == (3, 3)
    assert copies(tmp_path) == ["3"]


def test_a_copy_is_used_again_if_its_checksums_are_true(
    base, publish, registry, tmp_path, quick, monkeypatch
):
    publish(1)
    asyncio.run(registry().load_all())
    (copy,) = (tmp_path / "cache").glob("*/1")
    read, open_read = [], storage.open_read
    monkeypatch.setattr(
        storage, "open_read", lambda path: read.append(str(path)) or open_read(path)
    )
    asyncio.run(registry().load_all())
    assert [path for path in read if "://" in path] == [f"{base}/1/manifest.json"]
    (copy / DATA).write_bytes(b"damaged")
    (copy.parent / "unfinished" / "variables").mkdir(parents=True)
    (copy.parent / "unfinished" / DATA).write_bytes(b"half")
    asyncio.run(registry().load_all())
    assert (copy / DATA).read_bytes() != b"damaged"
    assert not (copy.parent / "unfinished").exists()


def test_a_new_version_replaces_the_old_one_and_its_copy(publish, registry, tmp_path, quick):
    publish(1)
    served = registry()

    async def scenario():
        await served.load_all()
        publish(2)
        await served.look()

    asyncio.run(scenario())
    assert served.version("tiny").number == 2
    assert copies(tmp_path) == ["2"]


def test_a_look_lists_the_bucket_once_and_reads_nothing(publish, registry, quick, monkeypatch):
    publish(1)
    served, calls = registry(), []

    async def scenario():
        await served.load_all()
        for name in ("list_tree", "list_states", "open_read"):
            function = getattr(storage, name)
            monkeypatch.setattr(
                storage, name, lambda path, f=function, n=name: calls.append(n) or f(path)
            )
        await served.look()

    asyncio.run(scenario())
    assert calls == ["list_tree"]


def test_a_version_that_is_being_uploaded_is_waited_for(base, publish, registry, quick, tiny_base):
    publish(1)
    served = registry()
    paths = [path for path in (tiny_base / "1").rglob("*") if path.is_file()]
    last = next(path for path in paths if path.name == "saved_model.pb")

    async def scenario():
        await served.load_all()
        for path in [*(path for path in paths if path != last), last]:
            await served.look()
            assert states(served).get(2, "START") == "START"
            name = path.relative_to(tiny_base / "1").as_posix()
            storage.upload(str(path), f"{base}/2/{name}")
        await served.look()

    asyncio.run(scenario())
    assert states(served)[2] == "AVAILABLE"


@both_stores
def test_a_damaged_object_is_not_loaded_until_it_is_replaced(base, publish, registry, quick):
    publish(1)
    served = registry()

    async def scenario():
        await served.load_all()
        publish(2)
        data = storage.read_bytes(f"{base}/2/{DATA}")
        storage.write_bytes(f"{base}/2/{DATA}", b"x" * len(data))
        await served.look()
        assert states(served) == {1: "AVAILABLE", 2: "END"}
        await served.look()
        assert states(served) == {1: "AVAILABLE", 2: "END"}
        storage.write_bytes(f"{base}/2/{DATA}", data)
        await served.look()
        await served.look()

    asyncio.run(scenario())
    assert states(served)[2] == "AVAILABLE"


def test_a_bucket_that_does_not_answer_is_asked_again_after_a_while(
    publish, registry, quick, monkeypatch, caplog
):
    publish(1)
    served, open_read = registry(), storage.open_read

    def refuse(path):
        if DATA in path and "://" in path:
            raise UserError(f"{path}: cannot be opened (503)")
        return open_read(path)

    async def scenario():
        await served.load_all()
        publish(2)
        monkeypatch.setattr(storage, "open_read", refuse)
        for _ in range(3):
            await served.look()
        assert states(served) == {1: "AVAILABLE", 2: "START"}
        assert caplog.text.count("next attempt in 2 s") == 1
        monkeypatch.setattr(storage, "open_read", open_read)
        served.model("tiny").states[2].retry_at = 0.0
        await served.look()

    asyncio.run(scenario())
    assert states(served)[2] == "AVAILABLE"


def test_a_cache_that_cannot_be_written_names_the_option(publish, registry, tmp_path):
    publish(1)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match=r"cannot be written .*; give another --cache-dir"):
        asyncio.run(registry().load_all())


def test_a_bucket_is_looked_at_less_often_than_a_folder(tiny_base):
    def seconds(*options):
        args = make_parser("").parse_args(["--model", f"a={tiny_base}", *options])
        models = read_models(args)
        remote = [type(model)("b", "gs://bucket/b") for model in models]
        return poll_seconds(args, models), poll_seconds(args, models + remote)

    assert seconds() == (2.0, 30.0)
    assert seconds("--poll-seconds", "7") == (7.0, 7.0)
    assert Path(make_parser("").parse_args(["--model", "a=b"]).cache_dir).is_absolute()
