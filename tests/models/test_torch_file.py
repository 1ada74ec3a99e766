"""torch's weight files are read as data: nothing in them runs."""

import contextlib
import io
import itertools
import json
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from safetensors.numpy import load_file

from rejoinder.errors import UserError
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.weight_files.restricted_pickle import read_pickle
from rejoinder.models.weight_files.testing import (
    Call,
    Data,
    Named,
    NamedFunction,
    dumps,
    older_bytes,
    zip_bytes,
)
from rejoinder.models.weight_files.torch_file import read_torch_file
from rejoinder.models.weights import load_huggingface_weights


def read_all(path):
    return {name: tensor.read() for name, tensor in read_torch_file(path).items()}


WRITERS = {"zip": zip_bytes, "older": older_bytes}


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    """Writes a file of one of the two formats; returns its path."""

    def write(*arguments, **options):
        path = tmp_path / "pytorch_model.bin"
        path.write_bytes(WRITERS[request.param](*arguments, **options))
        return path

    return write


@pytest.fixture(scope="module")
def arrays(golden):
    return load_file(golden.folder / "model.safetensors")


def test_tensors_are_equal_to_safetensors(write, arrays):
    stored = read_torch_file(write(arrays))
    assert stored.keys() == arrays.keys()
    for name, tensor in stored.items():
        assert tensor.dtype == "float32"
        assert tensor.read().tobytes() == arrays[name].tobytes()


def test_a_folder_with_only_pytorch_model_bin_is_loaded(write, arrays, golden, make_encoder):
    folder = write(arrays).parent
    encoder = SentenceEncoder(MPNetConfig.from_folder(golden.folder))
    load_huggingface_weights(encoder, folder)
    for one, other in zip(encoder.variables, make_encoder().variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_shards_are_read(write, arrays, golden, make_encoder):
    names = sorted(arrays)
    path = write({name: arrays[name] for name in names[:20]})
    path.rename(path.with_name("pytorch_model-1.bin"))
    path = write({name: arrays[name] for name in names[20:]})
    path.rename(path.with_name("pytorch_model-2.bin"))
    files = {name: f"pytorch_model-{1 + (n >= 20)}.bin" for n, name in enumerate(names)}
    (path.parent / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": files}))
    encoder = SentenceEncoder(MPNetConfig.from_folder(golden.folder))
    load_huggingface_weights(encoder, path.parent)
    for one, other in zip(encoder.variables, make_encoder().variables, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_runs_a_command_is_refused_and_runs_nothing(write, tmp_path, protocol):
    import os

    class Payload:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/marker",)

    payload = pickle.dumps(Payload(), protocol=protocol)
    path = write({}, pickled=payload)
    with pytest.raises(UserError, match="the file is refused, because it may run code"):
        read_torch_file(path)
    assert not (tmp_path / "marker").exists()
    pickle.loads(payload)  # it would have run
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "name",
    [
        "builtins eval",
        "torch load",
        "torch._utils _rebuild_sparse_tensor",
        "numpy ndarray",
        "collections OrderedDict.fromkeys",
        "torch.nn FloatStorage",
        "os system",
    ],
)
def test_every_other_name_is_refused(write, name):
    with pytest.raises(UserError, match="which is not a part of a tensor"):
        read_torch_file(write({}, pickled=dumps({"a": Named(name)})))


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02N.",
        b"\x80\x02]q\x00.",
        b"\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s.",
        b"\x80\x02}q\x00K\x01K\x01s.",  # a key that is not text
        b"\x80\x02ccollections\nOrderedDict\n(tRK\x05b.",  # attributes that are not a dictionary
        b"\x80\x02ctorch\nFloatStorage\n)R.",  # a call of a storage
        b"\x80\x02h\x07.",  # a memo that was not set
        b"\x80\x02K\x05Q.",  # a reference that is not a tuple
        b"\x80\x02t.",  # no mark
        b"\x80\x02\x8b\xff\xff\xff\x7f1.",  # an integer of two gigabytes
        b"\x80\x02X\xff\xff\xff\xffa.",  # a text of four gigabytes
        b"\x80\x02r\xff\xff\xff\xff.",  # a memo with room for four billion entries
        b"\x80\x02",
        b"",
    ],
)
def test_a_pickle_of_anything_else_is_one_line(write, pickled):
    with pytest.raises(UserError) as caught:
        read_torch_file(write({}, pickled=pickled))
    assert "\n" not in str(caught.value)


def test_the_number_of_opcodes_is_limited(monkeypatch):
    monkeypatch.setattr("rejoinder.models.weight_files.restricted_pickle._MAX_OPCODES", 100)
    with pytest.raises(UserError, match="more than 100 pickle opcodes"):
        read_pickle(io.BytesIO(b"\x80\x02" + b"}" * 200 + b"."), "file")


def test_a_tensor_outside_its_data_is_refused(write):
    rebuild = NamedFunction("torch._utils _rebuild_tensor_v2")
    for offset, shape, strides in (
        (0, (3,), (1,)),
        (1, (2,), (1,)),
        (-1, (1,), (1,)),
        (0, (2,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2, 2), (1,)),
    ):
        data = Data(np.zeros(2, np.float32), "0")
        tensor = Call(rebuild, data, offset, shape, strides, False, OrderedDict())
        with pytest.raises(UserError, match="lies outside its data"):
            read_torch_file(write({}, pickled=dumps({"a": tensor})))


def test_transposed_and_empty_tensors_are_read(write):
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensors = read_all(write({"a": np.asfortranarray(matrix), "empty": matrix[:0]}))
    np.testing.assert_array_equal(tensors["a"], matrix)
    assert tensors["empty"].shape == (0, 3)


def test_a_compressed_archive_is_refused(tmp_path, arrays):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(zip_bytes(arrays, zipfile.ZIP_DEFLATED))
    with pytest.raises(UserError, match="is compressed, which torch does not do"):
        read_torch_file(path)


def test_other_zips_and_byte_orders_are_refused(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(zip_bytes({}, byteorder=b"big"))
    with pytest.raises(UserError, match="big-endian"):
        read_torch_file(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("code/__torch__.py", "import os")
    with pytest.raises(UserError, match=r"zip without data\.pkl"):
        read_torch_file(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read"):
        read_torch_file(path)


def test_a_truncated_file_is_an_error_wherever_it_ends(write):
    path = write({"a": np.arange(4, dtype=np.float32), "b": np.ones([2, 2], np.float32)})
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError):
            read_all(path)


def test_a_changed_byte_is_an_error_or_leaves_a_valid_file(write):
    path = write({"a": np.arange(4, dtype=np.float32)})
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position, value in zip(range(len(whole)), itertools.cycle(rng.integers(0, 256, 251))):
        path.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
        with contextlib.suppress(UserError):  # any other exception fails the test
            read_all(path)
