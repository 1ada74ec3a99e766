"""The locked sets of packages for each kind of machine, and the environment that is installed."""

import collections
import csv
import importlib.metadata
import platform
import re
import subprocess
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What the images of deploy/ install.
IMAGES = ("pipeline", "train", "serve")
LOCKS = ("base", "dev", "gpu", "tpu", "train-gpu", *IMAGES)
# requirements/serve.in
SERVER_LEAVES_OUT = {
    "tf-keras",
    "safetensors",
    "huggingface-hub",
    "libclang",
    "nncf",
    "openvino-telemetry",
}
SERVER_EXTRAS = ("serve", "openvino", "gcs", "s3")


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


def asked_for(*extras):
    """The requirements of the project with some extras, `all` resolved."""
    asked = list(map(Requirement, PROJECT["dependencies"]))
    for extra in extras:
        for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
            of_this = requirement.name == PROJECT["name"]
            asked += asked_for(*requirement.extras) if of_this else [requirement]
    return asked


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        *[("base", ["all"]), ("dev", ["all", "dev"]), ("gpu", ["all", "dev", "gpu"])],
        *[("tpu", ["all", "dev"]), ("train-gpu", ["train", "gpu"])],
        *[("pipeline", ["pipeline"]), ("train", ["train"]), ("serve", SERVER_EXTRAS)],
    ],
)
def test_a_lock_meets_every_requirement_of_its_extras(lock, extras):
    packages = locked(lock)
    build = {"tpu": "tensorflow-tpu"} | dict.fromkeys(IMAGES, "tensorflow-cpu")
    for requirement in asked_for(*extras):
        name = canonicalize_name(requirement.name)
        if name == "tensorflow":
            name = build.get(lock, name)
        if lock == "serve" and name in SERVER_LEAVES_OUT:
            assert name not in packages
            continue
        versions = [Version(version) for version, _ in packages.get(name, ())]
        assert versions, name
        assert all(requirement.specifier.contains(version) for version in versions), name


@pytest.mark.parametrize("lock", IMAGES)
def test_the_lock_of_an_image_has_the_versions_of_base_and_another_build_of_tensorflow(lock):
    versions = {(name, version) for name, pins in locked("base").items() for version, _ in pins}
    others = {
        (name, version) for name, pins in locked(lock).items() for version, _ in pins
    } - versions
    assert others == {("tensorflow-cpu", "2.20.0")}
    assert "tensorflow" not in locked(lock)
    assert locked("base")["tensorflow"] == locked(lock)["tensorflow-cpu"]


def test_the_trainer_s_lock_for_gpus_has_the_versions_of_the_lock_for_gpus():
    packages, all_packages = locked("train-gpu"), locked("gpu")
    for name, pins in packages.items():
        assert {version for version, _ in pins} <= {version for version, _ in all_packages[name]}
    assert "nvidia-cudnn-cu12" in packages


@pytest.mark.parametrize(
    ("lock", "absent"),
    [
        ("serve", {"apache-beam", "tf-models-official", "transformers", "tf-keras", "pyarrow"}),
        ("train", {"apache-beam", "transformers", "polars", "starlette"}),
        ("train-gpu", {"apache-beam", "transformers", "polars", "starlette"}),
        ("pipeline", {"tf-models-official", "scikit-learn", "starlette"}),
    ],
)
def test_the_lock_of_an_image_has_nothing_of_other_uses(lock, absent):
    assert absent & locked(lock).keys() == set()


def needed(*extras):
    """The packages that a server with some extras needs on this machine, by what is installed."""
    found = set()
    ahead = [one for one in asked_for(*extras) if _applies(one, "")]
    while ahead:
        requirement = ahead.pop()
        name = canonicalize_name(requirement.name)
        new = {(name, extra) for extra in requirement.extras or [""]} - found
        if new and name not in SERVER_LEAVES_OUT:
            found |= new
            further = map(Requirement, importlib.metadata.requires(name) or [])
            ahead += [one for one in further if any(_applies(one, extra) for _, extra in new)]
    return {name for name, _ in found}


def _applies(requirement, extra):
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def test_a_server_needs_fewer_than_sixty_packages():
    assert len(needed("serve")) < 60


def test_the_image_of_the_server_has_openvino_and_the_clients_of_buckets_in_addition():
    on_linux = {
        name
        for name, pins in locked("serve").items()
        if any('== "win32"' not in marker for _, marker in pins)
    }
    assert on_linux - {"tensorflow-cpu"} <= needed(*SERVER_EXTRAS)
    assert needed("serve", "openvino") - needed("serve") == {"openvino"}


@pytest.mark.parametrize("lock", LOCKS)
def test_pip_accepts_the_python_of_every_package_that_is_installed(lock):
    """uv ignores a package's upper bound of Python (backports-strenum 1.3); pip refuses it."""
    refused = []
    for name, pins in locked(lock).items():
        try:
            installed = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        pinned = any(version == installed["Version"] for version, _ in pins)
        asked = SpecifierSet(installed["Requires-Python"] or "")
        if pinned and not asked.contains(platform.python_version()):
            refused.append(f"{name}=={installed['Version']} needs Python {asked}")
    assert refused == []


@pytest.mark.e2e
def test_pip_accepts_every_package_of_every_lock(tmp_path):
    """Without hashes: with them, a dry run downloads every package (5 GB).

    The builds of `make test-images` install the locks of the images with their hashes. The pip of
    Python 3.11 downloads every package in any case; a newer one reads the metadata alone by range
    requests (`fast-deps`).
    """
    venv.create(tmp_path / "pip", with_pip=True)
    pip = [tmp_path / "pip/bin/python", "-m", "pip", "install", "--quiet"]
    pins = {
        f"{name}=={version}" + f" ; {marker}" * (marker != "None")
        for lock in LOCKS
        for name, pinned in locked(lock).items()
        for version, marker in pinned
    }
    (tmp_path / "locks.txt").write_text("\n".join(sorted(pins)))
    everything = ["--dry-run", "--no-deps", "--use-pep517", "-r", tmp_path / "locks.txt"]
    for arguments in (["pip==26.3"], ["--use-feature=fast-deps", *everything]):
        done = subprocess.run([*pip, *arguments], capture_output=True, text=True, check=False)
        if "Failed to establish a new connection" in done.stderr:
            pytest.skip("the registry of packages cannot be reached")
        assert done.returncode == 0, done.stderr


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
