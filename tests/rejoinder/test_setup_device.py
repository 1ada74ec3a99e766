"""`make setup DEVICE=…`: the environment records its device and keeps it.

The Makefile runs in a tree of its own with a Python and a uv that only log their arguments.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Makes an environment as `python -m venv` does, with a python and a uv that log their arguments.
FAKE_PYTHON = """#!/bin/bash
echo "python $*" >> "$LOG"
if [ "$1 $2" = "-m venv" ]; then
  folder=${@: -1}
  if [ "$3" = --clear ]; then rm -rf "$folder"/* "$folder"/.[a-z]*; fi
  mkdir -p "$folder/bin"
  touch "$folder/pyvenv.cfg"
  cp "$0" "$folder/bin/python"
  printf '#!/bin/bash\\necho "uv $*" >> "$LOG"\\n[ ! -e "$LOG.fail" ]\\n' > "$folder/bin/uv"
  chmod +x "$folder/bin/uv"
fi
"""


class Tree:
    """A checkout with a fake Python, three folders deep."""

    def __init__(self, folder):
        self.root = folder / "home" / "user" / "checkout"
        (self.root / "requirements").mkdir(parents=True)
        shutil.copy(ROOT / "Makefile", self.root)
        for name in ("pyproject.toml", *(f"requirements/{n}.txt" for n in ("dev", "gpu", "tpu"))):
            (self.root / name).touch()
        self.python = self.root / "fake-python"
        self.python.write_text(FAKE_PYTHON)
        self.python.chmod(0o755)
        self.log = self.root / "log"
        self.venv = self.root / ".venv"

    def make(self, *arguments, **environment):
        """Runs make; returns the completed process, with the logged calls as `calls`."""
        self.log.write_text("")
        done = subprocess.run(
            ["make", *arguments],
            cwd=self.root,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.root.parent),
                "LOG": str(self.log),
                "PYTHON": str(self.python),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        done.calls = self.log.read_text()
        return done

    @property
    def device(self):
        """The recorded device."""
        return (self.venv / ".device").read_text().strip()


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "device", "lock"),
    [([], "cpu", "dev"), (["DEVICE=gpu"], "gpu", "gpu"), (["DEVICE=tpu"], "tpu", "tpu")],
)
def test_setup_installs_the_lock_of_the_device_and_records_it(tree, arguments, device, lock):
    done = tree.make("setup", *arguments)
    assert done.returncode == 0, done.stderr
    assert tree.device == device
    assert f"-r requirements/{lock}.txt" in done.calls
    assert "--no-deps" in done.calls
    assert "--clear" not in done.calls


def test_later_targets_keep_the_device(tree):
    tree.make("setup", "DEVICE=tpu")
    done = tree.make("setup", "test")
    assert done.returncode == 0, done.stderr
    assert done.calls.splitlines()[0].startswith("python -m pytest")
    assert tree.device == "tpu"
    os.utime(tree.root / "requirements" / "tpu.txt", (2**32, 2**32))
    assert "-r requirements/tpu.txt" in tree.make("test").calls


def test_another_device_makes_the_environment_again(tree):
    tree.make("setup", "DEVICE=tpu")
    (tree.venv / "tensorflow-tpu").touch()
    done = tree.make("setup", "DEVICE=cpu")
    assert "making it again for DEVICE=cpu" in done.stdout
    assert not (tree.venv / "tensorflow-tpu").exists()
    assert tree.device == "cpu"
    assert "-r requirements/dev.txt" in done.calls


def test_the_same_device_leaves_the_environment_as_it_is(tree):
    tree.make("setup", "DEVICE=gpu")
    assert tree.make("setup", "DEVICE=gpu").calls == ""


def test_an_environment_of_an_earlier_release_is_for_the_cpu_and_is_kept(tree):
    tree.make("setup")
    (tree.venv / ".device").unlink()
    assert tree.make("setup").calls == ""
    assert tree.make("setup", "DEVICE=cpu").calls == ""
    assert "--clear" in tree.make("setup", "DEVICE=tpu").calls


def test_an_installation_that_was_interrupted_continues_for_its_device(tree):
    failed = Path(f"{tree.log}.fail")
    failed.touch()
    assert tree.make("setup", "DEVICE=tpu").returncode != 0
    failed.unlink()
    done = tree.make("setup")
    assert "-r requirements/tpu.txt" in done.calls
    assert tree.device == "tpu"


def test_a_device_in_the_shell_s_environment_changes_nothing(tree):
    tree.make("setup", "DEVICE=tpu")
    assert tree.make("setup", DEVICE="cuda:0").calls == ""
    assert tree.device == "tpu"


def test_an_environment_that_make_did_not_set_up_is_never_emptied(tree):
    subprocess.run(
        [tree.python, "-m", "venv", "mine"], cwd=tree.root, env={"LOG": "log"}, check=True
    )
    (tree.root / "mine" / "precious").touch()
    done = tree.make("setup", "VENV=mine", "DEVICE=tpu")
    assert "--clear" not in done.calls
    assert (tree.root / "mine" / "precious").exists()


def test_a_device_that_does_not_exist_is_an_error_of_one_line(tree):
    done = tree.make("setup", "DEVICE=npu")
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "DEVICE=npu: must be cpu, gpu or tpu" in done.stderr
    assert done.calls == ""
