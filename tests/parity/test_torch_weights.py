"""`pytorch_model.bin` as torch writes it is read bit for bit, without torch."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rejoinder.models.weight_files.safetensors_file import read_safetensors
from rejoinder.models.weight_files.torch_file import read_torch_file

torch = pytest.importorskip("torch", reason="needs `make setup-parity`")
pytestmark = pytest.mark.parity
MODEL = Path(os.environ.get("REJOINDER_MPNET", "~/.cache/rejoinder/all-mpnet-base-v2")).expanduser()
FORMATS = pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "older"])


@FORMATS
def test_every_type_view_and_parameter_is_equal(tmp_path, is_zip):
    shared = torch.arange(24.0)
    tensors = {
        "float32": torch.randn(3, 5),
        "float16": torch.randn(4).half(),
        "bfloat16": torch.randn(2, 2).bfloat16(),
        "float64": torch.randn(2).double(),
        "int8": torch.tensor([1, -2], dtype=torch.int8),
        "transposed": torch.randn(3, 5).t(),
        "view": shared[5:17].view(3, 4),
        "same storage": shared,
        "parameter": torch.nn.Parameter(torch.randn(2, 3)),
        "empty": torch.zeros(0, 7),
        "scalar": torch.tensor(2.5),
    }
    state = torch.nn.Module().state_dict()  # with torch's _metadata
    state.update(tensors)
    path = tmp_path / "pytorch_model.bin"
    torch.save(state, path, _use_new_zipfile_serialization=is_zip)
    stored = read_torch_file(path)
    assert list(stored) == list(tensors)
    for name, tensor in tensors.items():
        assert stored[name].shape == tuple(tensor.shape)
        ours, theirs = stored[name].read(), tensor.detach()
        np.testing.assert_array_equal(ours.astype(np.float64), theirs.double().numpy(), name)
        assert str(theirs.dtype) == f"torch.{stored[name].dtype}"


@FORMATS
def test_other_objects_are_refused(tmp_path, is_zip):
    from rejoinder.errors import UserError

    path = tmp_path / "pytorch_model.bin"
    for value in (torch.nn.Linear(2, 2), {"a": torch.nn.Linear(2, 2)}, {"epoch": 3}, [1]):
        torch.save(value, path, _use_new_zipfile_serialization=is_zip)
        with pytest.raises(UserError):
            read_torch_file(path)


@pytest.mark.skipif(not MODEL.exists(), reason=f"no {MODEL}; set REJOINDER_MPNET")
@FORMATS
def test_the_real_checkpoint_is_bit_equal_to_its_safetensors(tmp_path, is_zip):
    from safetensors.torch import load_file

    path = tmp_path / "pytorch_model.bin"
    tensors = load_file(MODEL / "model.safetensors")
    tensors = {f"mpnet.{name}": tensor for name, tensor in tensors.items()}
    torch.save(tensors, path, _use_new_zipfile_serialization=is_zip)
    expected = read_safetensors(MODEL / "model.safetensors")
    stored = read_torch_file(path)
    assert {name.removeprefix("mpnet.") for name in stored} == set(expected)
    for name, tensor in stored.items():
        theirs = expected[name.removeprefix("mpnet.")]
        assert (tensor.shape, tensor.read().tobytes()) == (theirs.shape, theirs.read().tobytes())


def test_torch_is_not_imported(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(3)}, path)
    code = (
        "import sys; from pathlib import Path\n"
        "from rejoinder.models.weight_files import open_weights\n"
        "assert open_weights(Path(sys.argv[1]))['a'].read().tolist() == [1, 1, 1]\n"
        "assert 'torch' not in sys.modules and 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
