"""`train --dry-run --tpu-topology`: refusals, and small steps that libtpu compiles.

The compiled steps need the environment of `make setup-tpu-compiler`, which `make test-heavy`
calls.
"""

import os

import pytest
import tensorflow as tf
from tensorflow.python.eager.polymorphic_function import compiler_ir

from rejoinder.errors import UserError
from rejoinder.trainer import train
from rejoinder.trainer.data.testing import TINY_RUN
from rejoinder.trainer.settings import overrides
from rejoinder.trainer.settings.resolve import read_config
from rejoinder.trainer.tpu_compile import dry_run, environment
from rejoinder.trainer.tpu_compile.chips import CHIPS
from rejoinder.trainer.tpu_compile.dry_run import describe_on_tpu
from rejoinder.trainer.tpu_compile.environment import compile_step
from rejoinder.trainer.tpu_compile.lowering import LoweredStep
from rejoinder.trainer.tpu_compile.memory import describe_shortage


@pytest.fixture(autouse=True)
def flags(monkeypatch):
    """Undoes what the command sets for its process."""
    monkeypatch.setenv("TF_XLA_FLAGS", "")


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    """A cache without results, whose compiler is the installed one."""
    try:
        environment.find_compiler()
    except UserError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("cache")
    (folder / "tpu-compiler").symlink_to(environment.cache_folder() / "tpu-compiler")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "cache_folder", lambda: folder)
        patch.setenv("TPU_LOAD_LIBRARY", "0")  # as the command sets it
        yield folder


def small():
    config = read_config([], "", {"runtime.mixed_precision_dtype": "bfloat16"})
    overrides.apply(config, TINY_RUN, "tiny")
    overrides.apply(config, {"task": {"model": {"hidden_size": 128}}}, "test")
    return config


def rows(report: str) -> dict[str, str]:
    cells = (line.strip().split("  ", 1) for line in report.splitlines() if "  " in line.strip())
    return {name: value.strip() for name, value in cells}


@pytest.mark.e2e
@pytest.mark.host_xla
@pytest.mark.parametrize(
    ("name", "device"), [("v3-8", "4 chips, 8 devices (TPU v3)"), ("v5e-8", "8 chips, 8 devices")]
)
def test_a_small_step_is_compiled_for_a_tpu_that_is_not_here(compiler, name, device):
    report, fits = describe_on_tpu(small(), name)
    found = rows(report)
    assert fits
    assert found["slice"].startswith(device)
    assert found["compiler"].startswith("libtpu 0.0.42.1, called by jax 0.10.2 (")
    assert found["batch"].startswith("2 pairs in 3 rows of 32 tokens on each of 8 replicas, packed")
    assert found["fits"].startswith("yes: ")
    assert found["bound by"] in ("memory traffic", "the exchange between replicas")
    memory = {"arguments", "temporaries", "code"}
    assert memory | {"matrix product", "all-reduce", "layer/attention"} <= set(found)
    assert "18.5 tokens a sentence" in report
    again, _ = describe_on_tpu(small(), name)
    assert "known already" in rows(again)["compiler"]


@pytest.mark.e2e
@pytest.mark.host_xla
def test_libtpu_says_how_much_memory_is_missing(compiler):
    side = 70_000  # a matrix of 18.3 GiB, and its square
    square = tf.function(lambda x: tf.matmul(x, x) + 1.0, jit_compile=True, autograph=False)
    traced = square.get_concrete_function(tf.TensorSpec([side, side], tf.float32))
    hlo = compiler_ir.from_concrete_function(traced)(stage="hlo_serialized")
    program = LoweredStep(hlo, ("x",), (), {}, 8, step=square)
    compiled = compile_step(program, CHIPS["v3-8"], environment.find_compiler())
    text = describe_shortage(compiled.figures, 0, small(), rows=40)
    assert rows(text)["fits"].startswith("no: needs 39.2 GB, 22.6 GB more than the 16.6 GB")
    assert rows(text)["change"].startswith("task.grad_cache_chunks: 3 ")


@pytest.mark.host_xla
def test_a_missing_compiler_is_an_error_before_tensorflow_works(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(environment.platform, "system", lambda: "Linux")
    monkeypatch.setattr(environment.platform, "machine", lambda: "x86_64")
    with pytest.raises(UserError, match="make setup-tpu-compiler"):
        train.main(["--dry-run", "--tpu-topology", "v3-8"])
    # Of the process that lowers the step, so that dropout masks take no memory in it.
    assert os.environ["TF_XLA_FLAGS"] == "--tf_xla_disable_constant_folding=true"


def test_the_tensorflow_for_tpus_is_refused_because_it_cannot_lower_a_step(monkeypatch):
    monkeypatch.setattr(dry_run.metadata, "version", lambda name: "2.20.0")
    with pytest.raises(UserError, match="`make setup DEVICE=cpu`"):
        train.main(["--dry-run", "--tpu-topology", "v3-8"])


@pytest.mark.host_xla
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tpu-topology", "v3-8"], "--tpu-topology: needs --dry-run"),
        (["--dry-run", "--tpu-topology", "v9-8"], "--tpu-topology: must be one of v3-8, "),
        (["--dry-run", "--tpu-topology", ""], "--tpu-topology: must be one of v3-8, "),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        train.main(arguments)


def test_only_a_dry_run_for_a_tpu_needs_no_model_dir(capsys):
    with pytest.raises(SystemExit):
        train.main(["--dry-run"])
    assert "the following arguments are required: --model-dir" in capsys.readouterr().err
