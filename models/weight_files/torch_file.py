"""Tensors of `pytorch_model.bin`, in torch's zip format and in the older one.

torch 1.6 and later write a zip with a pickle, `data.pkl`, and one member for each storage.
Earlier versions write five pickles one after the other, then the storages, each after its
number of elements (int64). Neither is compressed, so that no size in the file can exceed
the file. See `torch.serialization` in PyTorch's sources.
"""

import functools
import io
import mmap
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from rejoinder.errors import UserError
from rejoinder.models.weight_files.restricted_pickle import Storage, TensorView, read_pickle
from rejoinder.models.weight_files.stored_tensor import StoredTensor
from rejoinder.units import format_bytes

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MAX_PICKLE = 64_000_000
_TYPES = {
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


def read_torch_file(file: Path) -> dict[str, StoredTensor]:
    """Returns the tensors of a file by name; their data is read later.

    Raises:
        UserError: The file is damaged, or holds anything but a dictionary of tensors.
    """
    try:
        with file.open("rb") as stream:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: an empty file
        raise UserError(f"{file}: cannot be read ({error})") from None
    if data[:4] == b"PK\x03\x04":
        values, storages = _read_zip(file)
    else:
        values, storages = _read_older(file, data)
    if not isinstance(values, dict):
        raise UserError(f"{file}: holds {type(values).__name__}, must be a dictionary of tensors")
    tensors = {}
    for name, view in values.items():
        if not isinstance(name, str) or not isinstance(view, TensorView):
            raise UserError(
                f"{file}: {name} is {type(view).__name__}, must be a tensor; save the model's"
                " state_dict"
            )
        tensors[name] = _stored(file, name, view, storages)
    return tensors


def _stored(
    file: Path, name: str, view: TensorView, storages: Callable[[Storage], Any]
) -> StoredTensor:
    """Checks that a view is inside its storage, and describes it."""
    dtype = _TYPES.get(view.storage.kind)
    if dtype is None:
        raise UserError(f"{file}: {name} has the unknown type {view.storage.kind}")
    steps = zip(view.shape, view.strides, strict=False)
    last = view.offset + sum((length - 1) * stride for length, stride in steps)
    if (
        len(view.shape) != len(view.strides)
        or min(view.offset, view.storage.size, *view.shape, *view.strides) < 0
        or (0 not in view.shape and last >= view.storage.size)
    ):
        raise UserError(f"{file}: {name} lies outside its data, so the file is damaged")

    def read() -> np.ndarray:
        import ml_dtypes  # noqa: F401 - registers bfloat16 in NumPy

        kind = np.dtype(dtype)
        elements = np.frombuffer(storages(view.storage), kind, count=view.storage.size)
        strides = tuple(stride * kind.itemsize for stride in view.strides)
        return np.lib.stride_tricks.as_strided(
            elements[view.offset :], view.shape, strides, writeable=False
        )

    return StoredTensor(file, view.shape, dtype, read)


def _size(storage: Storage) -> int:
    """Returns the bytes of a storage."""
    import ml_dtypes  # noqa: F401 - registers bfloat16 in NumPy

    return storage.size * np.dtype(_TYPES[storage.kind]).itemsize


def _read_zip(file: Path) -> tuple[Any, Callable[[Storage], Any]]:
    """Returns the values of a zip, and a function that reads a storage."""
    try:
        archive = zipfile.ZipFile(file)
        members = {member.filename: member for member in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError) as error:
        raise UserError(f"{file}: is damaged or cut off ({error})") from None
    pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise UserError(f"{file}: is a zip without data.pkl, so it was not written by torch.save")
    root = pickles[0].removesuffix("data.pkl")

    def read(name: str) -> bytes:
        member = members.get(f"{root}{name}")
        if member is None:
            raise UserError(f"{file}: has no member {root}{name}, so it is damaged")
        # An archive without compression cannot hold more than its own size.
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise UserError(f"{file}: {member.filename} is compressed, which torch does not do")
        try:
            return archive.read(member)
        except (zipfile.BadZipFile, ValueError, OSError, EOFError, RuntimeError) as error:
            raise UserError(f"{file}: is damaged ({error})") from None

    if f"{root}byteorder" in members and read("byteorder") != b"little":
        raise UserError(f"{file}: was written on a big-endian machine, which is not supported")
    pickled = read("data.pkl")
    if len(pickled) > _MAX_PICKLE:
        raise UserError(f"{file}: data.pkl is larger than {format_bytes(_MAX_PICKLE)}")

    @functools.lru_cache(maxsize=1)  # tensors that share data follow each other
    def storage_bytes(storage: Storage) -> bytes:
        content = read(f"data/{storage.key}")
        if len(content) < _size(storage):
            raise UserError(f"{file}: data/{storage.key} is too short, so the file is damaged")
        return content

    return read_pickle(io.BytesIO(pickled), f"{file}: data.pkl"), storage_bytes


def _read_older(file: Path, data: mmap.mmap) -> tuple[Any, Callable[[Storage], Any]]:
    """Returns the values of a file of an older torch, and a function that reads a storage."""
    stream, where = cast(BinaryIO, data), str(file)
    if data[:1] != b"\x80" or read_pickle(stream, where) != _MAGIC:
        raise UserError(f"{file}: was not written by torch.save; write it again, as safetensors")
    protocol, system = read_pickle(stream, where), read_pickle(stream, where)
    if protocol != _PROTOCOL or not isinstance(system, dict) or not system.get("little_endian"):
        raise UserError(f"{file}: has an unknown version of torch's format")
    values, keys = read_pickle(stream, where), read_pickle(stream, where)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise UserError(f"{file}: has no list of storages, so it is damaged")
    first = data.tell()
    sizes = _storage_sizes(values)
    positions, position = {}, first
    for key in keys:
        if key not in sizes or position + 8 + sizes[key] > len(data):
            raise UserError(f"{file}: ends inside the data at byte {position}; copy it again")
        positions[key] = position + 8
        position += 8 + sizes[key]

    def storage_bytes(storage: Storage) -> Any:
        begin = positions.get(storage.key)
        if begin is None or sizes[storage.key] < _size(storage):
            raise UserError(f"{file}: has no data {storage.key}, so it is damaged")
        if int.from_bytes(data[begin - 8 : begin], "little") != storage.size:
            raise UserError(f"{file}: has another size at byte {begin - 8}, so it is damaged")
        return memoryview(data)[begin : begin + sizes[storage.key]]

    return values, storage_bytes


def _storage_sizes(values: Any) -> dict[str, int]:
    """Returns the bytes of each storage of the tensors in a dictionary, by key."""
    views = values.values() if isinstance(values, dict) else ()
    storages = [view.storage for view in views if isinstance(view, TensorView)]
    return {
        storage.key: _size(storage)
        for storage in storages
        if storage.kind in _TYPES and storage.size >= 0
    }
