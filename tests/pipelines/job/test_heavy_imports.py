"""Large libraries are imported without garbage collection."""

import gc
import sys

import pytest

from rejoinder.pipelines.job import heavy_imports


def import_a_module(folder, monkeypatch):
    (folder / "some_large_library.py").write_text("values = [[] for _ in range(10_000)]")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "some_large_library", raising=False)
    import some_large_library  # type: ignore[import-not-found]

    return some_large_library


@pytest.fixture(autouse=True)
def _unfrozen():
    yield
    gc.unfreeze()


def test_nothing_is_collected_inside_and_what_was_imported_is_left_alone(tmp_path, monkeypatch):
    collections = sum(generation["collections"] for generation in gc.get_stats())
    frozen = gc.get_freeze_count()
    with heavy_imports.uncollected():
        import_a_module(tmp_path, monkeypatch)
        assert sum(generation["collections"] for generation in gc.get_stats()) == collections
    assert gc.get_freeze_count() > frozen + 10_000
    assert gc.isenabled()


def test_without_a_new_module_all_objects_stay_with_the_collector():
    frozen = gc.get_freeze_count()
    with heavy_imports.uncollected():
        values = [[] for _ in range(10_000)]
    assert gc.get_freeze_count() == frozen
    assert len(values) == 10_000


def test_inside_a_process_without_collection_it_stays_off():
    gc.disable()
    try:
        with heavy_imports.uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
