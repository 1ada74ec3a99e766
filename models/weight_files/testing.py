"""Writes torch's weight files without torch, in both of its formats, for tests."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


class Named:
    """Pickles as a name that torch would import, such as `torch FloatStorage`."""

    def __init__(self, name: str):
        self.name = name

    def __reduce__(self) -> str:
        return self.name


class NamedFunction(Named):
    """Pickles as the name of a function: pickle requires that a function is callable."""

    def __call__(self) -> None:  # noqa: D102 - never called
        raise AssertionError("only pickled")


class Call:
    """Pickles as a call."""

    def __init__(self, function: NamedFunction, *arguments: Any):
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[NamedFunction, tuple[Any, ...]]:
        return self.function, self.arguments


class Data:
    """A storage: its persistent id, and its bytes."""

    def __init__(
        self, array: NDArray[Any], key: str, kind: str = "FloatStorage", older: bool = False
    ):
        self.content = array.tobytes("A")  # in the order of memory, as torch writes it
        self.size = array.size
        self.reference: tuple[Any, ...] = (
            *("storage", Named(f"torch {kind}"), key, "cpu", array.size),
            *([None] if older else []),
        )


_PythonPickler: Any = vars(pickle)["_Pickler"]  # the C version has no table of types


class _Pickler(_PythonPickler):
    """Writes pickles with torch's names, without torch."""

    dispatch: ClassVar = dict(_PythonPickler.dispatch)

    def persistent_id(self, value: object) -> tuple[Any, ...] | None:
        return value.reference if isinstance(value, Data) else None

    def save_name(self, value: Named) -> None:
        self.write(b"c" + value.name.replace(" ", "\n").encode() + b"\n")
        self.memoize(value)

    dispatch[Named] = save_name
    dispatch[NamedFunction] = save_name


def dumps(value: object) -> bytes:
    """Returns a pickle in which `Named`, `Call` and `Data` are what torch writes."""
    stream = io.BytesIO()
    _Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def zip_bytes(
    arrays: Arrays,
    compression: int = zipfile.ZIP_STORED,
    pickled: bytes | None = None,
    byteorder: bytes = b"little",
) -> bytes:
    """Returns a file of float32 arrays in torch's format since 1.6."""
    values, storages = _state_dict(arrays)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("model/data.pkl", dumps(values) if pickled is None else pickled)
        archive.writestr("model/byteorder", byteorder)
        for key, data in storages.items():
            archive.writestr(f"model/data/{key}", data.content)
        archive.writestr("model/version", b"3\n")
    return stream.getvalue()


def older_bytes(arrays: Arrays, pickled: bytes | None = None) -> bytes:
    """Returns a file of float32 arrays in torch's format before 1.6."""
    values, storages = _state_dict(arrays, older=True)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    parts = [dumps(0x1950A86A20F9469CFC6C), dumps(1001), dumps(system)]
    parts += [dumps(values) if pickled is None else pickled, dumps(list(storages))]
    for data in storages.values():
        parts += [struct.pack("<q", data.size), data.content]
    return b"".join(parts)


def _state_dict(
    arrays: Arrays, older: bool = False
) -> tuple["OrderedDict[str, Call]", dict[str, Data]]:
    """Returns what torch pickles for `arrays`, and its storages."""
    rebuild = NamedFunction("torch._utils _rebuild_tensor_v2")
    values: OrderedDict[str, Call] = OrderedDict()
    storages: dict[str, Data] = {}
    for number, (name, array) in enumerate(arrays.items()):
        data = storages[str(number)] = Data(np.asarray(array), str(number), older=older)
        strides = tuple(step // array.itemsize for step in array.strides)
        values[name] = Call(rebuild, data, 0, array.shape, strides, False, OrderedDict())
    return values, storages
