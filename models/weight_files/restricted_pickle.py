"""Reads the pickles in torch's files as data: nothing in them is imported or called.

`pickle` finds a callable by name and calls it, so that a file can run any program. This
reader keeps the names and arguments instead. It knows the opcodes that torch writes for
a dictionary of tensors and refuses all others, and it knows five kinds of names: ordered
dictionaries, the storages of tensors, and the functions that make a tensor or a parameter
of a storage. torch itself reads files with `weights_only=True` in the same way.
"""

import dataclasses
import itertools
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from rejoinder.errors import UserError

ORDERED_DICT = "collections OrderedDict"
REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
REBUILD_PARAMETER = "torch._utils _rebuild_parameter"
# A state dict of a thousand tensors has about 30,000 opcodes.
_MAX_OPCODES = 2_000_000
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = frozenset(
    ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE")
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclasses.dataclass(frozen=True)
class Name:
    """A name that a pickle would import."""

    text: str


@dataclasses.dataclass(frozen=True)
class Storage:
    """A reference to a tensor's data.

    Attributes:
        kind: The storage's class, such as `FloatStorage`.
        key: Its name in the file.
        size: Number of elements.
    """

    kind: str
    key: str
    size: int


@dataclasses.dataclass(frozen=True)
class TensorView:
    """A tensor: a view of a storage, in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """The boundary that MARK puts on the stack."""


_MARK = _Mark()


def read_pickle(stream: BinaryIO, where: str) -> Any:
    """Reads one pickle.

    Args:
        stream: A stream in memory, so that a wrong length in it allocates nothing; it is left
            behind the pickle.
        where: File and member, for messages.

    Returns:
        A value of dictionaries, lists, tuples, strings, numbers and `TensorView`.

    Raises:
        UserError: The pickle is damaged, or holds anything but tensors.
    """
    return _Machine(where).run(stream)


class _Machine:
    """The stack of a pickle, with the opcodes of a dictionary of tensors."""

    def __init__(self, where: str):
        self._where = where
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, stream: BinaryIO) -> Any:
        try:
            for opcode, argument, position in itertools.islice(
                pickletools.genops(stream), _MAX_OPCODES
            ):
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._do(opcode.name, argument, position)
        except UserError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{self._where}: is not a dictionary of tensors ({reason})") from None
        raise UserError(f"{self._where}: has more than {_MAX_OPCODES:,} pickle opcodes")

    def _do(self, name: str, argument: Any, position: int | None) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in _TUPLES:
            items = stack[-_TUPLES[name] :]
            del stack[-_TUPLES[name] :]
            stack.append(tuple(items))
        elif handler := _HANDLERS.get(name):
            handler(self)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            text = argument if name == "GLOBAL" else " ".join(self._pop_strings(2))
            stack.append(self._allowed(text))
        elif name not in ("PROTO", "FRAME"):
            raise UserError(
                f"{self._where}: pickle opcode {name} at byte {position} is not used by torch for "
                "tensors; the file is refused, because it may run code"
            )

    def _allowed(self, text: str) -> Name:
        module, _, name = text.partition(" ")
        is_storage = module == "torch" and name.endswith("Storage") and name.isidentifier()
        if text not in (ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER) and not is_storage:
            raise UserError(
                f"{self._where}: names {text.replace(' ', '.')}, which is not a part of a tensor; "
                "the file is refused, because it may run code"
            )
        return Name(text)

    def _pop_strings(self, count: int) -> list[str]:
        items = [self._stack.pop() for _ in range(count)][::-1]
        if not all(isinstance(item, str) for item in items):
            raise ValueError("a name is not text")
        return items

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or not all(isinstance(key, str) for key in items[::2]):
            raise ValueError("items of something that is not a dictionary with names")
        target.update(zip(items[::2], items[1::2], strict=True))

    def _append(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise ValueError("items of something that is not a list")
        self._stack[-1].extend(items)

    def _set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value])

    def _build(self) -> None:
        # The attributes of a state dict are its version numbers.
        state = self._stack.pop()
        if not isinstance(self._stack[-1], dict) or not isinstance(state, dict):
            raise ValueError("attributes of something that is not a dictionary")

    def _storage(self) -> None:
        # Older files have a sixth item, for views; torch 0.4 was the last to write it.
        kind, name, key, _, size, *view = self._stack.pop()
        if kind != "storage" or any(view) or not isinstance(name, Name):
            raise ValueError("an unknown reference")
        self._stack.append(
            Storage(name.text.partition(" ")[2], _typed(key, str), _typed(size, int))
        )

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise ValueError("a call of something that is not a name")
        if function.text == ORDERED_DICT and not arguments:
            self._stack.append({})
        elif function.text == REBUILD_TENSOR:
            storage, offset, shape, strides, *_ = arguments
            self._stack.append(
                TensorView(
                    _typed(storage, Storage), _typed(offset, int), _ints(shape), _ints(strides)
                )
            )
        elif function.text == REBUILD_PARAMETER:
            self._stack.append(_typed(arguments[0], TensorView))
        else:
            raise ValueError(f"a call of {function.text}")


_HANDLERS: dict[str, Callable[[_Machine], None]] = {
    "MARK": lambda machine: machine._stack.append(_MARK),
    "EMPTY_DICT": lambda machine: machine._stack.append({}),
    "EMPTY_LIST": lambda machine: machine._stack.append([]),
    "EMPTY_TUPLE": lambda machine: machine._stack.append(()),
    "TUPLE": lambda machine: machine._stack.append(tuple(machine._pop_to_mark())),
    "APPEND": lambda machine: machine._append([machine._stack.pop()]),
    "APPENDS": lambda machine: machine._append(machine._pop_to_mark()),
    "SETITEM": _Machine._set_item,
    "SETITEMS": lambda machine: machine._set_items(machine._pop_to_mark()),
    "BUILD": _Machine._build,
    "BINPERSID": _Machine._storage,
    "REDUCE": _Machine._reduce,
}


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{kind.__name__} expected, got {type(value).__name__}")
    return value


def _ints(values: Any) -> tuple[int, ...]:
    return tuple(_typed(value, int) for value in _typed(values, tuple))
