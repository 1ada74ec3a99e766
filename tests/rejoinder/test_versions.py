from importlib.metadata import PackageNotFoundError

import pytest

from rejoinder import versions
from rejoinder.models.saved_model.manifest import software_versions
from rejoinder.pipelines.job.run import _VERSIONED


def only(*installed):
    def version(name):
        if name not in installed:
            raise PackageNotFoundError(name)
        return "2.20.0"

    return version


@pytest.mark.parametrize("build", versions.TENSORFLOW_BUILDS)
def test_tensorflow_has_a_version_whichever_build_is_installed(monkeypatch, build):
    monkeypatch.setattr(versions, "version", only(build))
    assert versions.installed_version("tensorflow") == "2.20.0"
    assert software_versions()["tensorflow"] == "2.20.0"


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(versions, "version", only())
    assert versions.installed_version("tensorflow") is None
    assert software_versions()["tensorflow"] == "source"


def test_every_package_whose_version_is_recorded_with_a_corpus_is_installed():
    assert all(versions.installed_version(name) for name in _VERSIONED)
