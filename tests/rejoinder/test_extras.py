"""What each extra brings, and the message of a command whose extra is missing."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import rejoinder
from rejoinder import extras, object_store
from rejoinder.commands import COMMANDS, dispatch
from rejoinder.errors import UserError

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
OPTIONAL = PROJECT["optional-dependencies"]
DISTRIBUTIONS = packages_distributions()


def names(requirements):
    return {canonicalize_name(Requirement(text).name) for text in requirements}


@pytest.mark.parametrize("extra", extras.MODULES)
def test_the_modules_of_an_extra_come_from_its_packages(extra):
    asked = names(OPTIONAL[extra])
    for module in extras.MODULES[extra]:
        assert asked & {
            canonicalize_name(name) for name in DISTRIBUTIONS[module.partition(".")[0]]
        }, module


def test_an_encoder_needs_neither_beam_nor_model_garden():
    assert not names(PROJECT["dependencies"]) & {
        *("apache-beam", "tf-models-official", "polars", "pyarrow", "matplotlib", "starlette"),
    }


def test_all_brings_every_package_that_a_user_may_have_asked_for():
    (reference,) = OPTIONAL["all"]
    asked = names(PROJECT["dependencies"])
    for extra in Requirement(reference).extras:
        asked |= names(OPTIONAL[extra])
    assert asked >= {
        *("apache-beam", "tensorflow", "tensorflow-text", "tf-models-official"),
        *("transformers", "gcsfs", "s3fs"),
    }
    assert set(extras.MODULES) < Requirement(reference).extras


def test_every_command_names_an_extra():
    used = {name: command.extra for name, command in COMMANDS.items() if name != "doctor"}
    of_flags = {"openvino", "telemetry"}  # serve --engine, export --openvino, serve --otlp-endpoint
    assert {*used.values(), *of_flags} == {*extras.MODULES, "all"}


# A module that only this extra brings, and that the command would import last.
@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        ("preprocess", "matplotlib", "pipeline"),
        ("pairs", "polars", "pipeline"),
        ("embed", "apache_beam", "pipeline"),
        ("train", "official", "train"),
        ("evaluate", "bm25s", "train"),
        ("serve", "uvicorn", "serve"),
        ("search", "usearch", "search"),
        ("quickstart", "tensorflow_serving", "all"),
    ],
)
def test_a_command_without_its_extra_ends_before_it_begins(monkeypatch, command, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"{command}: the package {module} is not installed; .*'rejoinder\[{extra}\]'"
    with pytest.raises(UserError, match=message):
        dispatch([command, "--no-such-option"])


def test_several_missing_packages_are_one_line(monkeypatch):
    for module in ("polars", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match="the packages polars, zstandard are not installed"):
        extras.check_installed("pipeline", "preprocess")


def test_a_server_of_openvino_does_not_need_nncf(monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    extras.check_installed("openvino", "serve --engine openvino", module="openvino")
    with pytest.raises(UserError, match="export --int8: the package nncf is not installed"):
        extras.check_installed("openvino", "export --int8")


def test_the_help_of_a_command_needs_no_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(SystemExit) as ended:
        dispatch(["preprocess", "--help"])
    assert ended.value.code == 0
    assert "--input" in capsys.readouterr().out


def test_an_index_without_its_extra_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch", None)
    with pytest.raises(UserError, match=re.escape("rejoinder.SearchIndex: the package usearch")):
        rejoinder.SearchIndex  # noqa: B018 (the access imports it)


@pytest.mark.parametrize(
    ("path", "package", "extra"), [("gs://b/x", "gcsfs", "gcs"), ("s3://b/x", "s3fs", "s3")]
)
def test_a_path_in_a_bucket_without_its_client_names_the_extra(monkeypatch, path, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.core", None)
    object_store._filesystem.cache_clear()
    with pytest.raises(UserError, match=rf"{path}: .* pip install 'rejoinder\[{extra}\]'"):
        object_store.filesystem(path)
