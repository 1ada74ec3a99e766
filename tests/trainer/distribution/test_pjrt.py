"""The environment variables of a TPU: they are set before TensorFlow is imported."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from rejoinder.commands import dispatch
from rejoinder.errors import UserError
from rejoinder.hardware import Hardware
from rejoinder.trainer.distribution import pjrt, slices, tpu

V5E = Hardware(tpu_chips=("v5e",) * 8)
NOBODY = "127.0.0.1:1"  # nothing listens there
FLAGS = (
    "--tf_mlir_enable_mlir_bridge=true "
    "--tf_mlir_enable_convert_control_to_data_outputs_pass=true "
    "--tf_mlir_enable_merge_control_flow_pass=true"
)
NAMES = (
    "PJRT_DEVICE",
    "NEXT_PLUGGABLE_DEVICE_USE_C_API",
    "TF_PLUGGABLE_DEVICE_LIBRARY_PATH",
    "TF_XLA_FLAGS",
    "TPU_LOAD_LIBRARY",
)
# Print what they find when they are imported; the process ends with TensorFlow's.
FAKE_LIBTPU = "print('libtpu')\ndef get_library_path(): return '/site-packages/libtpu/libtpu.so'\n"
FAKE_TENSORFLOW = f"""import json, os, sys
print("tensorflow")
print(json.dumps({{name: os.environ.get(name) for name in {NAMES}}}))
sys.exit(0)
"""


# `rejoinder train` on a machine with the chips of the first argument.
TRAIN = """import sys
from rejoinder import hardware
from rejoinder.trainer import train
hardware.find_hardware = lambda: hardware.Hardware(tuple(sys.argv[1].split()))
train.main(["--model-dir", "m", *sys.argv[2:]])
"""


def train(folder, *arguments, chips="v5e"):
    """Runs `rejoinder train` with the packages of a folder first on the path."""
    environment = {k: v for k, v in os.environ.items() if k not in NAMES}
    environment["GCE_METADATA_IP"] = NOBODY
    return subprocess.run(
        [sys.executable, "-c", TRAIN, chips, *arguments],
        env=environment | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def packages(tmp_path):
    """A folder with a libtpu and a TensorFlow that report when they are imported."""
    (tmp_path / "libtpu.py").write_text(FAKE_LIBTPU)
    (tmp_path / "tensorflow.py").write_text(FAKE_TENSORFLOW)
    return tmp_path


def test_libtpu_is_found_and_the_variables_are_set_before_tensorflow_is_imported(packages):
    done = train(packages, "--tpu", "local")
    libtpu, tensorflow, variables = done.stdout.splitlines()
    assert (libtpu, tensorflow) == ("libtpu", "tensorflow"), done.stderr
    assert json.loads(variables) == {
        "PJRT_DEVICE": "TPU",
        "NEXT_PLUGGABLE_DEVICE_USE_C_API": "true",
        "TF_PLUGGABLE_DEVICE_LIBRARY_PATH": "/site-packages/libtpu/libtpu.so",
        "TF_XLA_FLAGS": FLAGS,
        "TPU_LOAD_LIBRARY": None,
    }


def test_a_run_without_a_tpu_leaves_libtpu_alone(packages):
    tensorflow, variables = train(packages).stdout.splitlines()
    assert tensorflow == "tensorflow"
    found = json.loads(variables)
    assert found.pop("TPU_LOAD_LIBRARY") == "0"
    assert set(found.values()) == {None}


def test_a_machine_without_a_tpu_is_refused_before_libtpu_is_loaded(packages):
    done = train(packages, "--tpu", "local", chips="")
    assert done.stdout == ""
    assert "--tpu local: this machine has no TPU" in done.stderr.splitlines()[-1]


def test_other_commands_leave_the_tpu_alone(monkeypatch):
    monkeypatch.setenv("TPU_LOAD_LIBRARY", "")
    monkeypatch.delenv("TPU_LOAD_LIBRARY")
    with pytest.raises(SystemExit):
        dispatch(["similarity", "--help"])
    assert os.environ["TPU_LOAD_LIBRARY"] == "0"


@pytest.fixture
def libtpu(monkeypatch):
    library = SimpleNamespace(get_library_path=lambda: "/wheel/libtpu.so")
    monkeypatch.setitem(sys.modules, "libtpu", library)
    monkeypatch.setattr(slices, "_SERVER", NOBODY)


def test_variables_of_the_user_are_kept(libtpu):
    mine = {"TF_PLUGGABLE_DEVICE_LIBRARY_PATH": "/mine.so", "PJRT_DEVICE": "TPU:1"}
    environment = dict(mine)
    pjrt.set_environment(environment, V5E)
    assert environment.items() >= mine.items()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", FLAGS),
        ("--tf_xla_auto_jit=2", f"--tf_xla_auto_jit=2 {FLAGS}"),
        (
            "--tf_mlir_enable_mlir_bridge=false",
            FLAGS.replace(
                "--tf_mlir_enable_mlir_bridge=true", "--tf_mlir_enable_mlir_bridge=false"
            ),
        ),
        (FLAGS, FLAGS),
    ],
)
def test_flags_of_xla_are_added_to_those_of_the_user(libtpu, given, expected):
    environment = {"TF_XLA_FLAGS": given}
    pjrt.set_environment(environment, V5E)
    assert environment["TF_XLA_FLAGS"] == expected


def test_a_missing_libtpu_is_an_error_that_names_the_environment_for_tpus(monkeypatch):
    monkeypatch.setitem(sys.modules, "libtpu", None)
    monkeypatch.setattr(slices, "_SERVER", NOBODY)
    with pytest.raises(UserError, match=r"--tpu local: libtpu is not installed .*DEVICE=tpu"):
        pjrt.set_environment({}, V5E)


def test_a_local_tpu_that_only_the_configuration_names_is_an_error(monkeypatch):
    """TensorFlow is imported before the file is read, so it has not looked for the TPU."""
    monkeypatch.delenv("TF_PLUGGABLE_DEVICE_LIBRARY_PATH", raising=False)
    with pytest.raises(UserError, match="on the command line as --tpu local"):
        tpu.check_tpu("local")
    monkeypatch.setenv("TF_PLUGGABLE_DEVICE_LIBRARY_PATH", "/wheel/libtpu.so")
    tpu.check_tpu("local")
