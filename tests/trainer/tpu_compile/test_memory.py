"""What is reported of a step that does not fit into a device's memory."""

import pytest

from rejoinder.trainer.settings.resolve import read_config
from rejoinder.trainer.tpu_compile.memory import advice, describe_shortage

GIB = 2**30
MESSAGE = (
    "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory "
    "required for HLO temporaries (20.00G) exceeds available HBM (15.50G). HLO module: step.\n"
    "See https://openxla.org/xla/errors/error_1000 for more details."
)


def config(**flags):
    return read_config([], "", {f"task.{key}": value for key, value in flags.items()})


def test_the_report_says_by_how_much_and_which_key():
    text = describe_shortage({"error": MESSAGE}, GIB, config(), rows=40)
    assert "no: needs 21.5 GB, 4.8 GB more than the 16.6 GB that a program can use" in text
    assert "task.grad_cache_chunks: 2 " in text


def test_a_message_of_another_form_is_printed():
    text = describe_shortage({"error": "RESOURCE_EXHAUSTED: too large\nmore"}, 0, config(), 40)
    assert "no: RESOURCE_EXHAUSTED: too large" in text


def test_padded_rows_are_packed_first():
    padded = read_config([], "task.train_data.layout=padded", {})
    assert advice(20.0, 16.0, 1.0, padded, rows=256).startswith("task.train_data.layout: packed")


@pytest.mark.parametrize(
    ("used", "present", "expected"), [(20, 1, 2), (40, 1, 3), (40, 2, 6), (15.9, 1, 2)]
)
def test_the_fewest_chunks_whose_activations_fit(used, present, expected):
    chunked = config(grad_cache_chunks=present)
    assert f"chunks: {expected} " in advice(used, 15.5, 1.0, chunked, rows=40)


def test_no_chunk_count_helps_if_the_weights_alone_are_too_large():
    assert "does not fit either" in advice(40.0, 15.5, 15.6, config(), rows=40)
