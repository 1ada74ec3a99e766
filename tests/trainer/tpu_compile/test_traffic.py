"""Bytes that the operations of a compiled program move, on programs of a few lines."""

import pytest

from rejoinder.trainer.tpu_compile.traffic import Program, array_bytes, place_of

PROGRAM = """HloModule step, is_scheduled=true, replica_count=8

%product (a: bf16[8,16], b: bf16[16,32]) -> bf16[8,32] {
  %a = bf16[8,16]{1,0:T(8,128)} parameter(0)
  %b = bf16[16,32]{1,0:T(8,128)} parameter(1)
  ROOT %c = bf16[8,32]{1,0:T(8,128)} convolution(%a, %b), dim_labels=bf_io->bf
}

%turned (x: f32[8,32]) -> f32[32,8] {
  %x = f32[8,32]{1,0:T(8,128)} parameter(0)
  ROOT %t = f32[32,8]{1,0:T(8,128)} transpose(%x), dimensions={1,0}
}

%again (s: (s32[], f32[4])) -> (s32[], f32[4]) {
  %s = (s32[]{:T(128)}, f32[4]{0:T(128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%s), index=0
  %v = f32[4]{0:T(128)} get-tuple-element(%s), index=1
  %twice = f32[4]{0:T(128)} add(%v, %v), metadata={op_name="sum/add"}
  ROOT %next = (s32[]{:T(128)}, f32[4]{0:T(128)}) tuple(%i, %twice)
}

%more (s: (s32[], f32[4])) -> pred[] {
  %s = (s32[]{:T(128)}, f32[4]{0:T(128)}) parameter(0)
  ROOT %yes = pred[]{:T(512)} constant(true)
}

ENTRY %main (p0: bf16[8,16], p1: bf16[16,32], p2: f32[8,32], p3: f32[4]) -> f32[32,8] {
  %p0 = bf16[8,16]{1,0:T(8,128)} parameter(0)
  %p1 = bf16[16,32]{1,0:T(8,128)} parameter(1)
  %p2 = f32[8,32]{1,0:T(8,128)} parameter(2)
  %p3 = f32[4]{0:T(128)} parameter(3)
  %near = (bf16[16,32]{1,0:T(8,128)S(1)}, bf16[16,32]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%p1)
  %here = bf16[16,32]{1,0:T(8,128)S(1)} copy-done(%near)
  %part = ((f32[8,32]{1,0:T(8,128)}), f32[2,32]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%p2), slice={[0:2], [0:32]}
  %rows = f32[2,32]{1,0:T(8,128)S(1)} slice-done(%part)
  %named = f32[64]{0:T(128)S(1)} bitcast(%rows)
  %used = f32[64]{0:T(128)S(1)} negate(%named), metadata={op_name="loss/neg"}
  %back = (f32[64]{0:T(128)}, f32[64]{0:T(128)S(1)}, u32[]{:S(2)}) copy-start(%used)
  %away = f32[64]{0:T(128)} copy-done(%back)
  %f1 = bf16[8,32]{1,0:T(8,128)} fusion(%p0, %here), kind=kOutput, calls=%product, metadata={op_name="sentence_encoder/mpnet/layer_3/attention/output/MatMul"}
  %f2 = f32[32,8]{1,0:T(8,128)} fusion(%p2), kind=kLoop, calls=%turned, metadata={op_name="gradient_tape/sentence_encoder/mpnet/layer_3/attention/transpose"}
  %sum = f32[32,8]{1,0:T(8,128)} all-reduce(%f2), replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%turned, metadata={op_name="CollectiveReduceV2"}
  %zero = s32[]{:T(128)} constant(0)
  %start = (s32[]{:T(128)}, f32[4]{0:T(128)}) tuple(%zero, %p3)
  %loop = (s32[]{:T(128)}, f32[4]{0:T(128)}) while(%start), condition=%more, body=%again, backend_config={"known_trip_count":{"n":"5"}}
  ROOT %out = f32[32,8]{1,0:T(8,128)} copy(%sum)
}
"""  # noqa: E501

IN, WEIGHTS, OUT, BIG, PART = 8 * 16 * 2, 16 * 32 * 2, 8 * 32 * 2, 8 * 32 * 4, 2 * 32 * 4


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(PROGRAM)


def test_operations_move_their_operands_and_results(program):
    assert dict(program.total(lambda moved: moved.kind)) == {
        "matrix product": IN + OUT,
        # The weights are copied to the chip once, and read from there. Of a slice only the
        # part that is copied is read.
        "copy to the chip": WEIGHTS + PART,
        "copy from the chip": PART,
        "copy or reshape": 2 * BIG + 2 * BIG,
        "exchange between replicas": 2 * BIG,
        # The loop's body is executed five times.
        "elementwise or reduction": 5 * 3 * 16,
    }


def test_traffic_is_attributed_to_places_in_the_model(program):
    places = dict(program.total(lambda moved: moved.place))
    assert places["layer/attention"] == IN + OUT + WEIGHTS
    assert places["layer/attention, backward"] == 2 * BIG
    assert places["sum"] == 5 * 3 * 16


def test_a_copy_belongs_to_the_operation_that_reads_or_made_its_value(program):
    places = dict(program.total(lambda moved: moved.place))
    assert places["loss"] == PART + PART
    assert places["CollectiveReduceV2"] == 2 * BIG
    assert places["exchange between replicas"] == 2 * BIG


def test_exchanges_are_counted_with_the_bytes_of_a_replica(program):
    assert program.exchanges == {"all-reduce": (1, BIG)}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("f32[]", 4),
        ("bf16[3,5]{1,0:T(8,128)(2,1)}", 30),
        ("(f32[2]{0}, /*index=1*/pred[7]{0}, u8[1,2])", 17),
        ("token[]", 0),
        ("f32[2]{0:T(128)S(1)}", 0),
    ],
)
def test_the_bytes_of_a_type_in_hbm(shape, expected):
    assert array_bytes(shape, hbm=True) == expected


def test_the_bytes_of_a_type_in_any_memory():
    assert array_bytes("f32[2]{0:T(128)S(1)}") == 8


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("sentence_encoder/mpnet/layer_11/attention/query_key_value/MatMul", "layer/attention"),
        ("gradient_tape/sentence_encoder/mpnet/layer_0/output/MatMul", "layer/output, backward"),
        ("AdamWeightDecay/AdamWeightDecay/update_5/ResourceApplyAdam", "AdamWeightDecay"),
        ("CollectiveReduceV2_12", "CollectiveReduceV2"),
        ("", "(none)"),
    ],
)
def test_a_place_is_the_module_without_its_number(path, expected):
    assert place_of(path) == expected
