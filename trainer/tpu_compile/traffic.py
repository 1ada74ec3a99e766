"""Reads from a compiled TPU program which operation moves how many bytes.

The program is text in XLA's format (https://openxla.org/xla/hlo_format). Each operation of the
entry computation is executed on its own: it reads its operands from a memory and writes its
result to one. What happens inside a fusion stays in registers.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

_BYTES = {
    **dict.fromkeys(("pred", "s8", "u8"), 1),
    **dict.fromkeys(("bf16", "f16", "s16", "u16"), 2),
    **dict.fromkeys(("f32", "s32", "u32"), 4),
    **dict.fromkeys(("f64", "s64", "u64", "c64"), 8),
}
_ARRAY = re.compile(rf"\b({'|'.join(_BYTES)})\[([\d,]*)\](\{{[^}}]*\}})?")
_OPERATION = re.compile(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([\w\-]+)\((.*)")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) .*\{$")
_NAME = re.compile(r"%([\w.\-]+)")
# They name a part of a value, or end what an operation with `-start` began.
_FREE = frozenset(
    ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id")
)
_PRODUCTS = ("convolution", "dot")
_COPIES = ("copy", "transpose", "reshape", "slice", "concatenate", "pad", "broadcast")
_SLICES = ("slice", "dynamic-slice", "gather")
_EXCHANGE = "exchange between replicas"
EXCHANGES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


@dataclass(frozen=True)
class Operation:
    """One operation that the program executes.

    Attributes:
        name: Its name in the program.
        opcode: Its opcode.
        shape: Type of its result.
        operands: Names of its operands.
        place: The `op_name` of its metadata, the path of the TensorFlow operation.
        calls: Names of the computations that it calls.
        trips: How often a `while` executes them.
    """

    name: str
    opcode: str
    shape: str
    operands: tuple[str, ...]
    place: str
    calls: tuple[str, ...]
    trips: int


@dataclass(frozen=True)
class Moved:
    """Bytes that one operation reads from HBM and writes to it.

    Attributes:
        kind: Kind of the operation, for people.
        place: Place in the model, for people.
        count: Bytes.
    """

    kind: str
    place: str
    count: int


class Program:
    """A compiled program.

    Args:
        text: The program, as `HloModule.to_string` writes it.
    """

    def __init__(self, text: str):
        self._computations: dict[str, dict[str, Operation]] = {}
        self._entry = ""
        self._known_readers: dict[int, dict[str, list[str]]] = {}
        inside: dict[str, Operation] = {}
        for line in text.splitlines():
            if found := _OPERATION.match(line):
                operation = _operation(line, *found.groups())
                inside[operation.name] = operation
            elif header := _COMPUTATION.match(line):
                inside = self._computations.setdefault(header[2], {})
                if header[1]:
                    self._entry = header[2]

    @cached_property
    def moved(self) -> list[Moved]:
        """What each executed operation moves, except those that move nothing."""
        return [
            Moved(self._kind(operation), self._place(operation, siblings), count * times)
            for operation, siblings, times in self._executed(self._entry)
            if (count := _moved(operation, siblings))
        ]

    def total(self, key: Callable[[Moved], str]) -> list[tuple[str, int]]:
        """Returns the bytes by a key, most first."""
        counter: Counter[str] = Counter()
        for moved in self.moved:
            counter[key(moved)] += moved.count
        return counter.most_common()

    @cached_property
    def exchanges(self) -> dict[str, tuple[int, int]]:
        """Number of collective operations, and bytes of a replica in them, by opcode."""
        found: dict[str, tuple[int, int]] = {}
        for operation, siblings, times in self._executed(self._entry):
            opcode = operation.opcode.removesuffix("-start")
            if opcode in EXCHANGES:
                size = sum(array_bytes(siblings[name].shape) for name in operation.operands)
                number, total = found.get(opcode, (0, 0))
                found[opcode] = number + times, total + times * size
        return found

    def _executed(self, name: str) -> Iterator[tuple[Operation, dict[str, Operation], int]]:
        """Yields each executed operation, its computation, and how often it is executed."""
        siblings = self._computations[name]
        for operation in siblings.values():
            if operation.opcode in ("while", "call", "conditional"):
                for called in operation.calls:
                    for inner, others, times in self._executed(called):
                        yield inner, others, times * operation.trips
            else:
                yield operation, siblings, 1

    def _place(self, operation: Operation, siblings: dict[str, Operation]) -> str:
        """Returns the place of an operation.

        The compiler merges exchanges of all places into few. Its own copies have no place: one
        to the chip is that of the operation that reads it there, another that of its operand.
        """
        if operation.place:
            exchange = operation.opcode.removesuffix("-start") in EXCHANGES
            return _EXCHANGE if exchange else place_of(operation.place)
        if "S(" in _written(operation):
            return place_of(self._first_reader(operation, siblings))
        operands = (siblings[name].place for name in operation.operands if name in siblings)
        return place_of(next(filter(None, operands), ""))

    def _first_reader(self, operation: Operation, siblings: dict[str, Operation]) -> str:
        """Returns the place of the first operation with one that reads a value."""
        for name in self._readers(siblings).get(operation.name, ()):
            reader = siblings[name]
            if place := reader.place or self._first_reader(reader, siblings):
                return place
        return ""

    def _readers(self, siblings: dict[str, Operation]) -> dict[str, list[str]]:
        """Returns the names of the operations that read each value of a computation."""
        if id(siblings) not in self._known_readers:
            readers: dict[str, list[str]] = {}
            for operation in siblings.values():
                for name in operation.operands:
                    readers.setdefault(name, []).append(operation.name)
            self._known_readers[id(siblings)] = readers
        return self._known_readers[id(siblings)]

    def _kind(self, operation: Operation) -> str:
        opcode = operation.opcode.removesuffix("-start").removeprefix("async-")
        if opcode in EXCHANGES:
            return _EXCHANGE
        inside = {
            inner.opcode
            for called in operation.calls
            for inner in self._computations.get(called, {}).values()
        }
        if opcode in _PRODUCTS or inside & set(_PRODUCTS):
            return "matrix product"
        if operation.opcode.endswith("-start") and opcode in ("copy", *_SLICES):
            return "copy to the chip" if "S(" in _written(operation) else "copy from the chip"
        if opcode in _COPIES or (inside and inside <= {*_COPIES, *_FREE}):
            return "copy or reshape"
        if "rng-bit-generator" in {opcode, *inside}:
            return "random numbers"
        return opcode if opcode == "custom-call" else "elementwise or reduction"


def array_bytes(shape: str, *, hbm: bool = False) -> int:
    """Returns the bytes of all arrays in a type, without padding.

    Args:
        shape: Type in XLA's notation, such as `(f32[8,128]{1,0}, s32[])`.
        hbm: Whether arrays in another memory count nothing; `S(1)` in a layout is memory on
            the chip.
    """
    total = 0
    for kind, dims, layout in _ARRAY.findall(shape):
        if hbm and "S(" in layout:
            continue
        count = 1
        for dim in filter(None, dims.split(",")):
            count *= int(dim)
        total += count * _BYTES[kind]
    return total


def place_of(path: str) -> str:
    """Returns where in the step a TensorFlow operation is: module, without number and operation.

    Args:
        path: `op_name`, such as `gradient_tape/sentence_encoder/mpnet/layer_3/output/MatMul`.
    """
    parts = [part for part in path.split("/") if part]
    backward = bool(parts) and parts[0] == "gradient_tape"
    parts = [re.sub(r"_\d+$", "", part) for part in parts[backward:]]
    parts = [part for part in parts if part not in ("sentence_encoder", "mpnet", "PartitionedCall")]
    place = "/".join(parts[:2] if parts and parts[0] == "layer" else parts[:1]) or "(none)"
    return f"{place}, backward" if backward else place


def _operation(line: str, name: str, shape: str, opcode: str, rest: str) -> Operation:
    place = re.search(r'op_name="([^"]*)"', line)
    calls = re.findall(r"(?:calls|to_apply|body|branch_computations)=\{?((?:%[\w.\-]+,? ?)+)", rest)
    trips = re.search(r'known_trip_count":\{"n":"(\d+)"', rest)
    operands = rest.split("), ")[0]
    return Operation(
        name,
        opcode,
        shape,
        tuple(_NAME.findall(operands)),
        place[1] if place else "",
        tuple(called for group in calls for called in _NAME.findall(group)),
        int(trips[1]) if trips else 1,
    )


def _moved(operation: Operation, siblings: dict[str, Operation]) -> int:
    """Returns the bytes that an operation reads from HBM and writes to it."""
    if operation.opcode in _FREE or operation.opcode.endswith("-done"):
        return 0
    written = _written(operation)
    read = [siblings[name].shape for name in operation.operands if name in siblings]
    if operation.opcode.removesuffix("-start") in _SLICES and read:
        # Only as much of the operand is read as is written.
        in_hbm = array_bytes(written) if array_bytes(read[0], hbm=True) else 0
        return in_hbm + array_bytes(written, hbm=True)
    return sum(array_bytes(shape, hbm=True) for shape in read) + array_bytes(written, hbm=True)


def _written(operation: Operation) -> str:
    """Returns the type of what an operation writes.

    An operation with `-start` also names its operand: `(result, operand, context)` for a copy,
    `((operands), result, context)` for a slice.
    """
    arrays = [found[0] for found in _ARRAY.finditer(operation.shape)]
    if operation.opcode == "copy-start":
        return arrays[0]
    if operation.opcode.removesuffix("-start") in _SLICES and operation.opcode.endswith("-start"):
        return arrays[len(operation.operands)]
    return operation.shape
