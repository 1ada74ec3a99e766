"""Models in buckets; a folder on the local disk takes the place of the bucket."""

from pathlib import Path

import numpy as np
import pytest

from rejoinder import object_store, storage
from rejoinder.errors import UserError
from rejoinder.models.card_data import CardDetails
from rejoinder.models.encoder import Encoder
from rejoinder.models.loading import load_model, write_encoder_folder
from rejoinder.models.local_folder import local_folder
from rejoinder.models.model_card import model_card
from rejoinder.models.model_dir import is_model_dir
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.saved_model.publish import find_saved_model, versions
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.sentence_transformers import save_sentence_transformers


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Path:
    """The folder that holds the objects of gs://bucket."""
    root = tmp_path / "bucket"
    root.mkdir()

    def local(path: str) -> Path:
        return root / path.removeprefix("gs://bucket").lstrip("/")

    def find(folder, prefix=""):
        for file in local(folder).rglob("*"):
            if file.is_file():
                yield f"gs://bucket/{file.relative_to(root).as_posix()}", file.stat().st_size

    def write(path, data):
        local(path).parent.mkdir(parents=True, exist_ok=True)
        local(path).write_bytes(data)

    monkeypatch.setattr(object_store, "find", find)
    monkeypatch.setattr(object_store, "size", lambda path: local(path).stat().st_size)
    monkeypatch.setattr(object_store, "open_read", lambda path: local(path).open("rb"))
    monkeypatch.setattr(object_store, "write", write)
    return root


def test_a_model_folder_in_a_bucket_is_loaded(bucket, golden, tokenizer_folder):
    config = MPNetConfig.from_folder(golden.folder).to_dict() | {"vocab_size": 300}
    encoder = SentenceEncoder(MPNetConfig(**config))
    save_sentence_transformers(bucket / "model", encoder, tokenizer_folder)
    (bucket / "model" / "optimizer.pt").write_bytes(b"not needed")
    here, there = (Encoder.load(p) for p in (bucket / "model", "gs://bucket/model"))
    np.testing.assert_array_equal(there.encode(["a text"]), here.encode(["a text"]))
    copy = local_folder("gs://bucket/model/")
    assert local_folder("gs://bucket/model") == copy
    assert (copy / "1_Pooling" / "config.json").exists()
    assert not (copy / "optimizer.pt").exists()


def test_torch_weights_are_copied_only_where_there_are_no_safetensors(bucket):
    for name in ("config.json", "pytorch_model.bin", "optimizer.bin"):
        storage.write_bytes(f"gs://bucket/old/{name}", b"{}")
        storage.write_bytes(f"gs://bucket/new/{name}", b"{}")
    storage.write_bytes("gs://bucket/new/model.safetensors", b"")
    old, new = (local_folder(f"gs://bucket/{name}") for name in ("old", "new"))
    assert {path.name for path in old.iterdir()} == {"config.json", "pytorch_model.bin"}
    assert {path.name for path in new.iterdir()} == {"config.json", "model.safetensors"}


def test_a_local_folder_is_not_copied(tmp_path):
    assert local_folder(str(tmp_path)) == tmp_path


def test_a_folder_without_a_model_is_refused(bucket):
    with pytest.raises(UserError, match="gs://bucket/empty: holds no model"):
        load_model("gs://bucket/empty")


def test_the_encoder_of_a_run_is_described_in_a_bucket(bucket, golden, tokenizer_folder):
    config = MPNetConfig.from_folder(golden.folder)
    assert not is_model_dir("gs://bucket/run")
    write_encoder_folder("gs://bucket/run/encoder", config, tokenizer_folder, 24)
    assert is_model_dir("gs://bucket/run")
    assert MPNetConfig.from_folder(local_folder("gs://bucket/run/encoder")) == config


def test_the_card_of_a_run_in_a_bucket_has_its_evaluation(bucket):
    storage.write_bytes("gs://bucket/run/evaluation/evaluation.md", b"# Evaluation\n\n54.9\n")
    details = CardDetails(name="mine", source="gs://bucket/run", is_trained_here=True)
    assert "\n## Evaluation\n\n54.9\n" in model_card(details, 768, 128)


def test_checkpoints_in_s3_are_refused_with_a_way_out(bucket, golden, tokenizer_folder):
    config = MPNetConfig(**MPNetConfig.from_folder(golden.folder).to_dict() | {"vocab_size": 300})
    write_encoder_folder("gs://bucket/encoder", config, tokenizer_folder, 24)
    with pytest.MonkeyPatch.context() as patch:
        size, find, read = object_store.size, object_store.find, object_store.open_read
        patch.setattr(object_store, "size", lambda path: size(_gs(path)))
        patch.setattr(object_store, "open_read", lambda path: read(_gs(path)))
        patch.setattr(
            object_store,
            "find",
            lambda folder: ((p.replace("gs:", "s3:"), n) for p, n in find(_gs(folder))),
        )
        with pytest.raises(
            UserError, match=r"^s3://bucket: TensorFlow reads and writes checkpoints in"
        ):
            load_model("s3://bucket")


def _gs(path: str) -> str:
    return path.replace("s3://", "gs://")


def test_the_newest_version_in_a_bucket_is_found(bucket):
    for name in ("1/saved_model.pb", "10/saved_model.pb", "11/other", "x/saved_model.pb", "12"):
        storage.write_bytes(f"gs://bucket/export/{name}", b"")
    assert versions("gs://bucket/export") == [1, 10, 11]
    assert find_saved_model("gs://bucket/export") == "gs://bucket/export/10"
    assert find_saved_model("gs://bucket/export/1") == "gs://bucket/export/1"
    assert find_saved_model("gs://bucket/nothing") is None
