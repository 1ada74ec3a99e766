"""The wheel and the sdist: what they contain, and whether the product works without a checkout."""

import subprocess
import sys
import zipfile

import pytest

SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


@pytest.fixture
def own_folder(tmp_path):
    """A user's folder with modules named like two packages of the product."""
    for name in ("models", "pipelines"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('a module of the user')")
    return tmp_path


def names_in(wheel):
    return sorted(zipfile.ZipFile(wheel).namelist())


def run(*command, cwd):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_the_wheel_has_one_top_level_package(wheel):
    top_level = {name.partition("/")[0] for name in names_in(wheel)}
    version = wheel.name.split("-")[1]
    assert top_level == {"rejoinder", f"rejoinder-{version}.dist-info"}


def test_the_wheel_has_every_file_of_the_packages(source_tree, wheel):
    """Includes the files that are not Python: py.typed, configurations, templates, pages."""
    product = source_tree / "rejoinder"
    expected = [path for path in product.glob("*") if path.is_file()]
    for entry in product.iterdir():
        if entry.is_dir():
            expected += [path for path in entry.resolve().rglob("*") if path.is_file()]
    shipped = [name for name in names_in(wheel) if ".dist-info/" not in name]
    assert shipped == sorted(
        ("" if path.is_relative_to(product) else "rejoinder/")
        + path.relative_to(source_tree).as_posix()
        for path in expected
    )
    assert {"rejoinder/py.typed", "rejoinder/configs/quickstart.yaml"} <= set(shipped)


def test_the_sdist_builds_the_same_wheel(source_tree, wheel, tmp_path):
    sdist = run(sys.executable, "-c", SDIST, tmp_path, cwd=source_tree).splitlines()[-1]
    run(
        *(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", tmp_path, tmp_path / sdist),
        cwd=tmp_path,
    )
    assert names_in(tmp_path / wheel.name) == names_in(wheel)


def test_a_user_s_models_py_does_not_break_the_import(installed, own_folder):
    program = "from rejoinder import Encoder, __file__; print(Encoder.__module__, __file__)"
    module, file = run(installed / "python", "-c", program, cwd=own_folder).split()
    assert module == "rejoinder.models.encoder"
    assert file.startswith(str(installed.parent))


def test_the_installed_command_works_in_a_user_s_folder(installed, own_folder):
    command = installed / "rejoinder"
    assert run(command, "--version", cwd=own_folder).startswith("rejoinder 0.")
    assert run(command, "--help", cwd=own_folder).startswith("usage: rejoinder ")
    assert "--input" in run(command, "quickstart", "--help", cwd=own_folder)
