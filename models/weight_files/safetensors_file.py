"""Tensors of a safetensors file."""

import functools
from pathlib import Path

from rejoinder.errors import UserError
from rejoinder.models.weight_files.stored_tensor import StoredTensor

_TYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}


def read_safetensors(file: Path) -> dict[str, StoredTensor]:
    """Returns the tensors of a file by name; their data is read later.

    Raises:
        UserError: The file is damaged.
    """
    import ml_dtypes  # noqa: F401 - registers bfloat16, of half precision checkpoints, in NumPy
    from safetensors import SafetensorError, safe_open

    try:
        handle = safe_open(str(file), framework="numpy")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: is damaged ({error})") from None
    tensors = {}
    for name in handle.keys():  # noqa: SIM118 - not a dictionary
        part = handle.get_slice(name)
        dtype = _TYPES.get(part.get_dtype(), part.get_dtype())
        read = functools.partial(handle.get_tensor, name)
        tensors[name] = StoredTensor(file, tuple(part.get_shape()), dtype, read)
    return tensors
