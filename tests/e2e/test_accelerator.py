"""`benchmarks.accelerator` writes training steps that jax runs without this project."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import accelerator
from benchmarks import accelerator_runner as runner
from rejoinder.errors import UserError
from rejoinder.trainer.tpu_compile.environment import find_compiler

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("device", "precision", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989),
        ("NVIDIA H100 80GB HBM3", "float32", 494.5),
        ("NVIDIA H100 PCIe", "bfloat16", 756),
        ("NVIDIA A100-SXM4-80GB", "bfloat16", 312),
        ("NVIDIA L40S", "bfloat16", 362),
        ("NVIDIA L40", "bfloat16", None),
        ("NVIDIA L4", "bfloat16", 121),
        ("TPU v5 lite", "bfloat16", 197),
        ("TPU v5p", "bfloat16", 459),
        ("TPU v4", "float32", None),
        ("cpu", "float32", None),
    ],
)
def test_the_peak_of_a_device_is_found_by_its_name(device, precision, peak):
    assert runner.peak_of(device, precision) == (None if peak is None else peak * 1e12)


def test_a_peak_that_is_not_known_gives_no_share():
    assert runner.shares(5e12, None, 10e12) == {
        "tflops": 5.0,
        "share_of_peak": None,
        "share_of_matrix_product": 0.5,
    }
    assert runner.shares(5e12, 20e12, 10e12)["share_of_peak"] == 0.25


def test_losses_that_differ_or_are_no_numbers_are_not_equal():
    assert runner.compare([1.0, 2.0], [1.0, 2.0], 0) == {
        "largest_difference": 0.0,
        "equal_losses": True,
    }
    assert not runner.compare([1.0, 2.1], [1.0, 2.0], 0.01)["equal_losses"]
    assert not runner.compare([1.0, math.nan], [1.0, 2.0], 0.01)["equal_losses"]


def test_a_program_that_does_not_fit_is_a_line_of_its_own():
    assert runner.line({"name": "padded", "error": "out of memory"}).split() == [
        *("padded", "out", "of", "memory")
    ]


def test_batches_above_the_limit_are_computed_in_chunks():
    programs = list(accelerator.cells("packed", "float32", [128, 512, 513, 4096], 512, 16))
    assert [(program.batch, program.chunks, program.check) for program in programs] == [
        *((16, 1, True), (16, 2, True)),
        *((128, 1, False), (512, 1, False), (513, 2, False), (4096, 8, False)),
    ]
    assert len({program.name for program in programs}) == len(programs)


@pytest.fixture(scope="module")
def python_with_jax() -> Path:
    try:
        return find_compiler()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_run) -> Path:
    """Returns the folder of the programs of a tiny model."""
    folder = tmp_path_factory.mktemp("accelerator")
    arguments = write_run(folder, {"task": {"loss": {"learn_scale": True}}})
    command = [sys.executable, "-m", "benchmarks.accelerator", f"--output={folder / 'out'}"]
    command += [*arguments, "--batch=32", "--chunk-pairs=16", "--precision=bfloat16"]
    subprocess.run(command, cwd=ROOT, check=True)
    return folder / "out"


@pytest.mark.e2e
def test_jax_runs_the_programs_with_the_losses_of_tensorflow(python_with_jax, folder, tmp_path):
    names = ["check-packed-bfloat16-16-in-2", "check-padded-bfloat16-16", "packed-bfloat16-32-in-2"]
    results = tmp_path / "results.json"
    command = [
        python_with_jax,
        folder / "run.py",
        "--seconds=0.1",
        f"--results={results}",
        "--only",
    ]
    done = subprocess.run(
        [*command, *names],
        env={"JAX_PLATFORMS": "cpu"},
        cwd=tmp_path,  # nothing of the project is found from here
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads(results.read_text())
    assert content["platform"] == "cpu"
    programs = {program["name"]: program for program in content["programs"]}
    assert set(programs) == set(names)
    for name in names[:2]:
        assert len(programs[name]["losses"]) == 10
        assert programs[name]["equal_losses"], done.stdout
    for program in programs.values():
        assert all(map(math.isfinite, program["losses"]))
        assert program["pairs_per_second"] == pytest.approx(
            program["batch"] * program["steps_per_second"]
        )
        assert program["flops"] > 0
        assert program["share_of_peak"] is None
        assert program["share_of_matrix_product"] > 0
