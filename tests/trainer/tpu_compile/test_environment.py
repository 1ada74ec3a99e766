"""The compiler's environment: missing, failing, and asked once for each program."""

import json
import stat

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.tpu_compile import environment
from rejoinder.trainer.tpu_compile.chips import CHIPS
from rejoinder.trainer.tpu_compile.environment import compile_step, find_compiler
from rejoinder.trainer.tpu_compile.lowering import LoweredStep

# Stands for the Python of the environment: counts its calls and writes what the compiler does.
COMPILER = """#!/bin/sh
echo called >> "$(dirname "$0")/calls"
[ -e "$(dirname "$0")/broken" ] && { echo "first line" >&2; echo "no such chip" >&2; exit 1; }
echo '{"flops": 1}' > "$5/compiled.json"
echo "HloModule $3" > "$5/program.txt"
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(environment.platform, "system", lambda: "Linux")
    monkeypatch.setattr(environment.platform, "machine", lambda: "x86_64")
    return tmp_path


@pytest.fixture
def python(home):
    folder = home / ".cache/rejoinder/tpu-compiler"
    (folder / "bin").mkdir(parents=True)
    (folder / "lock.txt").touch()
    program = folder / "bin/python"
    program.write_text(COMPILER)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return find_compiler()


def step(hlo: bytes = b"program") -> LoweredStep:
    return LoweredStep(hlo, (), (), {}, 8, step=lambda *_: None)


def calls(python) -> int:
    return len((python.parent / "calls").read_text().splitlines())


def test_a_missing_environment_names_the_command_that_makes_it(home):
    with pytest.raises(UserError, match="run `make setup-tpu-compiler`") as error:
        find_compiler()
    assert "\n" not in str(error.value)


def test_an_unfinished_environment_is_missing(python):
    (python.parent.parent / "lock.txt").unlink()
    with pytest.raises(UserError, match="run `make setup-tpu-compiler`"):
        find_compiler()


def test_a_machine_without_a_wheel_of_libtpu_is_refused(home, monkeypatch):
    monkeypatch.setattr(environment.platform, "machine", lambda: "aarch64")
    with pytest.raises(UserError, match="libtpu has no wheel for Linux aarch64"):
        find_compiler()


def test_a_program_is_compiled_once_for_each_slice_and_libtpu(python):
    first = compile_step(step(), CHIPS["v3-8"], python)
    again = compile_step(step(), CHIPS["v3-8"], python)
    assert (first.cached, again.cached, calls(python)) == (False, True, 1)
    assert (again.figures, again.program) == ({"flops": 1}, "HloModule v3:2x2\n")
    compile_step(step(), CHIPS["v5e-8"], python)
    compile_step(step(b"another"), CHIPS["v3-8"], python)
    assert calls(python) == 3
    packages = python.parent.parent / "lib/python3.11/site-packages"
    (packages / "libtpu-0.0.99.dist-info").mkdir(parents=True)
    assert not compile_step(step(), CHIPS["v3-8"], python).cached


def test_a_failed_compilation_is_one_line_and_is_not_kept(python):
    broken = python.parent / "broken"
    broken.touch()
    with pytest.raises(UserError, match=r"cannot compile the step for v3:2x2 \(no such chip\)"):
        compile_step(step(), CHIPS["v3-8"], python)
    broken.unlink()
    assert not compile_step(step(), CHIPS["v3-8"], python).cached
    results = python.parents[2] / "tpu-programs"
    assert len(list(results.iterdir())) == 1


def test_a_program_that_does_not_fit_has_no_text(python):
    source = python.read_text().replace('echo "HloModule $3" > "$5/program.txt"', "")
    python.write_text(source.replace('"flops": 1', '"error": "RESOURCE_EXHAUSTED: hbm"'))
    compiled = compile_step(step(), CHIPS["v3-8"], python)
    assert compiled.figures == json.loads('{"error": "RESOURCE_EXHAUSTED: hbm"}')
    assert compiled.program == ""
