import fnmatch
import json
import shutil

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rejoinder.errors import UserError
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.weights import (
    load_huggingface_weights,
    resolve_folder,
    save_huggingface_weights,
)


@pytest.fixture
def folder(golden, tmp_path):
    """A copy of the tiny checkpoint that a test may change."""
    shutil.copytree(golden.folder, tmp_path / "model")
    return tmp_path / "model"


def fresh(folder):
    return SentenceEncoder(MPNetConfig.from_folder(folder))


def spoil(folder, edit):
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_round_trip_is_bit_equal(make_encoder, golden, tmp_path):
    save_huggingface_weights(make_encoder(), tmp_path)
    before = load_file(golden.folder / "model.safetensors")
    after = load_file(tmp_path / "model.safetensors")
    encoder_tensors = {
        name.removeprefix("mpnet."): tensor
        for name, tensor in before.items()
        if name.startswith("mpnet.")
    }
    assert set(after) - set(encoder_tensors) == {"pooler.dense.weight", "pooler.dense.bias"}
    for name, tensor in encoder_tensors.items():
        assert after[name].dtype == np.float32
        assert after[name].tobytes() == tensor.tobytes(), name
    assert MPNetConfig.from_folder(tmp_path) == make_encoder().config


def test_the_pooler_is_kept(make_encoder, tmp_path):
    encoder = make_encoder()
    encoder.mpnet.pooler.kernel.assign_add(np.ones([16, 16], np.float32))
    save_huggingface_weights(encoder, tmp_path)
    restored = fresh(tmp_path)
    load_huggingface_weights(restored, tmp_path)
    np.testing.assert_array_equal(restored.mpnet.pooler.kernel, encoder.mpnet.pooler.kernel)
    assert not any(encoder.mpnet.pooler.kernel is v for v in encoder.trainable_variables)


def test_all_wrong_tensors_are_listed_and_no_variable_is_changed(folder):
    def edit(tensors):
        del tensors["mpnet.encoder.layer.0.attention.attn.q.bias"]
        del tensors["mpnet.embeddings.LayerNorm.weight"]
        tensors["mpnet.encoder.layer.2.output.dense.bias"] = np.zeros(16, np.float32)
        tensors["mpnet.encoder.layer.1.attention.attn.k.bias"] = np.zeros(8, np.float32)

    spoil(folder, edit)
    encoder = fresh(folder)
    before = [variable.numpy() for variable in encoder.variables]
    with pytest.raises(UserError) as caught:
        load_huggingface_weights(encoder, folder)
    message = str(caught.value)
    assert str(folder) in message
    assert (
        "2 missing: embeddings.LayerNorm.weight, encoder.layer.0.attention.attn.q.bias" in message
    )
    assert "1 unknown: encoder.layer.2.output.dense.bias" in message
    assert "1 misshapen: encoder.layer.1.attention.attn.k.bias [8] instead of [16]" in message
    for variable, value in zip(encoder.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_sharded_and_half_precision_checkpoints_are_read(folder, make_encoder, dtype):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"a.safetensors": names[:20], "b.safetensors": names[20:]}
    for file, part in shards.items():
        save_file({name: tensors[name].astype(dtype) for name in part}, folder / file)
    weight_map = {name: file for file, part in shards.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    encoder = fresh(folder)
    load_huggingface_weights(encoder, folder)
    for one, other in zip(encoder.variables, make_encoder().variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=5e-3, atol=1e-6)


def test_a_folder_without_readable_weights_is_refused(folder, tmp_path):
    encoder = fresh(folder)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"model\.safetensors: is damaged"):
        load_huggingface_weights(encoder, folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match=r"pytorch_model\.bin: was not written by torch"):
        load_huggingface_weights(encoder, folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(UserError, match=r"has neither model\.safetensors nor pytorch_model\.bin"):
        load_huggingface_weights(encoder, folder)
    with pytest.raises(UserError, match="is not a folder"):
        resolve_folder(tmp_path / "nowhere")


def test_a_hub_name_without_network_is_one_clear_error(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(name, **kwargs):
        raise LocalEntryNotFoundError("no network\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(UserError, match=r"^someone/model: is neither .* \(no network\); without"):
        resolve_folder("someone/model")


def test_torch_weights_are_downloaded_only_where_there_are_no_safetensors(tmp_path, monkeypatch):
    import huggingface_hub

    hub = ["config.json", "pytorch_model.bin", "0_Transformer/pytorch_model.bin", "onnx/model.onnx"]
    fetched = []

    def download(name, allow_patterns):
        for file in hub:
            if any(fnmatch.fnmatch(file, pattern) for pattern in allow_patterns):
                fetched.append(file)
                (tmp_path / file).parent.mkdir(exist_ok=True)
                (tmp_path / file).touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    resolve_folder("someone/model")
    assert set(fetched) == {"config.json", "pytorch_model.bin", "0_Transformer/pytorch_model.bin"}
    hub.append("model.safetensors")
    fetched.clear()
    resolve_folder("someone/model")
    assert fetched == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model_type": "bert"}', "model_type is 'bert', must be 'mpnet'"),
        ('{"hidden_act": "relu"}', "hidden_act is 'relu', must be 'gelu'"),
        ('{"hidden_size": 10, "num_attention_heads": 4}', "must be a multiple"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_another_model_is_refused(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=message):
        MPNetConfig.from_folder(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        MPNetConfig.from_folder(tmp_path / "nowhere")
