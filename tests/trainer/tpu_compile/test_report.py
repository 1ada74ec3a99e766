"""Time, bound and cost that follow from a compiled program and a chip's figures."""

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.settings.resolve import read_config
from rejoinder.trainer.tpu_compile.chips import CHIPS, find_chip
from rejoinder.trainer.tpu_compile.environment import Compiled
from rejoinder.trainer.tpu_compile.report import Times, describe_compiled, step_times
from rejoinder.trainer.tpu_compile.traffic import Program

GB = 10**9
# 4.5 GB are read and 4.5 GB written; then 1 GB is exchanged.
PROGRAM = """HloModule step

ENTRY %main (p0: f32[1125000000], p1: f32[250000000]) -> f32[250000000] {
  %p0 = f32[1125000000]{0:T(1024)} parameter(0)
  %p1 = f32[250000000]{0:T(1024)S(1)} parameter(1)
  %a = f32[1125000000]{0:T(1024)} negate(%p0), metadata={op_name="sentence_encoder/mpnet/layer_1/output/neg"}
  ROOT %b = f32[250000000]{0:T(1024)S(1)} all-reduce(%p1), replica_groups={{0,1}}
}
"""  # noqa: E501
FIGURES = {
    "flops": 0.615e12,
    "bytes_accessed": 12 * GB,
    "arguments": 2 * GB,
    "temporaries": GB,
    "code": 10**6,
    "results": 0,
}


@pytest.fixture
def compiled(tmp_path) -> Compiled:
    return Compiled(FIGURES, PROGRAM, tmp_path, cached=False)


def test_times_are_those_of_the_published_rates(compiled):
    times = step_times(compiled, Program(PROGRAM), CHIPS["v3-8"])
    assert times.arithmetic == pytest.approx(0.01)
    assert times.traffic == pytest.approx(0.02)
    # A ring of eight sends 7/4 of the bytes.
    assert times.exchange == pytest.approx(1.75 / 166)
    assert times.bound == "memory traffic"
    assert (times.least, times.most) == (times.traffic, pytest.approx(0.03 + 1.75 / 166))


def test_the_bound_is_what_takes_longest():
    assert Times(3, 1, 2).bound == "arithmetic"
    assert Times(1, 2, 3).bound == "the exchange between replicas"


def test_the_report_names_every_figure(compiled):
    config = read_config([], "", {"trainer.train_steps": 180_000})
    text = describe_compiled(compiled, "v3-8", CHIPS["v3-8"], config, ["18.5 tokens a sentence"])
    lines = {" ".join(line.split()) for line in text.splitlines()}
    assert {
        "fits yes: 3.0 GB of 16.0 GB",
        "arguments 2.0 GB",
        "temporaries 1.0 GB",
        "code 1.0 MB",
        "arithmetic 0.615 TFLOP",
        "memory traffic 9.0 GB by operation, 12.0 GB by the compiler's count",
        "all-reduce 1 operations, 1.0 GB",
        "elementwise or reduction 9.0 GB",
        "layer/output 9.0 GB",
        "arithmetic 10.0 ms at 61.5 TFLOP/s",
        "memory traffic 20.0 ms at 450 GB/s",
        "exchange 10.5 ms at 166 GB/s",
        "bound by memory traffic",
        "step 20.0 ms to 40.5 ms",
        "whole run 1 h 00 min to 2 h 01 min for 180,000 steps",
        "cost 8 to 16 USD",
        "- 18.5 tokens a sentence",
    } <= lines
    assert "8.00 USD an hour: 4 chips at 2.00, on demand in us-central1" in text


def test_an_unknown_slice_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="one of v3-8, v4-8, v5e-8, v5p-8, v6e-8, got 'v2-8'"):
        find_chip("v2-8")
