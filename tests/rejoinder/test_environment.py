"""The locked sets of packages for each kind of machine, and the environment that is installed."""

import collections
import csv
import re
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("base", "dev", "gpu", "tpu")


def locked(name):
    """{package: {(version, marker)}} of a lock."""
    packages = collections.defaultdict(set)
    text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    for line in re.findall(r"^[a-z].*==.*", text, re.M):
        requirement = Requirement(line.rstrip("\\ "))
        (pin,) = requirement.specifier
        packages[canonicalize_name(requirement.name)].add((pin.version, str(requirement.marker)))
    return dict(packages)


def difference(name, other):
    """{package: versions} of what one lock holds and another does not."""
    packages, others = locked(name), locked(other)
    return {
        package: sorted(version for version, _ in pins)
        for package, pins in packages.items()
        if others.get(package) != pins
    }


def test_the_lock_for_tpus_replaces_tensorflow_and_changes_nothing_else():
    assert list(difference("dev", "tpu")) == ["tensorflow"]
    assert difference("tpu", "dev") == {"libtpu": ["0.0.20"], "tensorflow-tpu": ["2.20.0"]}
    assert locked("dev")["tensorflow"] == locked("tpu")["tensorflow-tpu"]


def test_the_lock_for_gpus_adds_the_libraries_of_cuda_and_changes_nothing_else():
    assert difference("dev", "gpu") == {}
    added = difference("gpu", "dev")
    assert all(re.fullmatch(r"nvidia-[a-z-]+-cu12", package) for package in added)
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-nccl-cu12"} <= set(added)


@pytest.mark.parametrize("lock", ["dev", "gpu", "tpu"])
def test_a_lock_meets_every_requirement_of_the_project(lock):
    packages = locked(lock)
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *extras["serving"], *extras["s3"], *extras["dev"]]
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        if lock == "tpu" and name == "tensorflow":
            name = "tensorflow-tpu"
        versions = [Version(version) for version, _ in packages.get(name, ())]
        assert versions, name
        assert all(requirement.specifier.contains(version) for version in versions), name


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_hashes_and_no_address(lock):
    text = (REQUIREMENTS / f"{lock}.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|--index|--find-links|--extra-index|^[^#\n]* @ ", text, re.M)
    entries = re.findall(r"^[a-z].*==.*(?:\n +--hash=.*)*", text, re.M)
    assert all("--hash=sha256:" in entry for entry in entries)


def test_no_extra_installs_a_second_tensorflow():
    """tensorflow-tpu has the files of tensorflow, which the dependencies bring in any case."""
    asked = [text for group in PROJECT["optional-dependencies"].values() for text in group]
    names = {canonicalize_name(Requirement(text).name) for text in asked}
    assert not {
        name
        for name in names
        if name.startswith("tensorflow-") and name[11:] in {"tpu", "cpu", "gpu", "intel", "rocm"}
    }


def test_no_path_belongs_to_two_distributions():
    """Of the environment of these tests; `make test-tpu-env` asks it of the one for TPUs."""
    owners = collections.defaultdict(set)
    for record in Path(sysconfig.get_path("purelib")).glob("*.dist-info/RECORD"):
        with record.open(newline="", encoding="utf-8") as lines:
            for path, *_ in csv.reader(lines):
                owners[path].add(record.parent.name)
    assert len(owners) > 10_000
    # tensorflow and tensorboard both bring the same `tensorboard` command.
    shared = {path for path, names in owners.items() if len(names) > 1}
    assert shared <= {"../../../bin/tensorboard"}
