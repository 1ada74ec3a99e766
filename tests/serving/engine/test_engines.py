"""TensorFlow and OpenVINO, float32, bfloat16 and int8, behind the same server."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from rejoinder.errors import UserError
from rejoinder.hardware import has_bfloat16
from rejoinder.models.export import write_saved_model
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.saved_model import openvino_model, reference
from rejoinder.models.saved_model.int8 import Int8, add_openvino
from rejoinder.models.saved_model.manifest import ExportManifest, hash_files
from rejoinder.models.saved_model.openvino_model import OPENVINO_FILE, OpenVinoEncoder
from rejoinder.models.saved_model.testing import TinyTokenizer
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.tokenizer.hugging_face import HuggingFaceTokenizer, to_json
from rejoinder.models.tokenizer.spec import read_spec
from rejoinder.models.tokenizer.wordpiece import train_wordpiece
from rejoinder.serving.apis.tensor_proto import to_array
from rejoinder.serving.engine.engines import encode_rows
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.engine_options import EngineOptions
from rejoinder.serving.parser import make_parser

OPENVINO = EngineOptions("openvino", "float32")
TEXTS = [b"", b"one", b"a few words of text", b"word " * 50, b"and the last one"]


class Model(NamedTuple):
    encoder: SentenceEncoder
    tokenizer: TinyTokenizer
    max_length: int = 32


@pytest.fixture(scope="module")
def model():
    """An MPNet of two layers with random weights."""
    tf.random.set_seed(1)
    config = MPNetConfig(
        vocab_size=1000,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
        initializer_range=0.2,
    )
    return Model(SentenceEncoder(config, dtype="float32"), TinyTokenizer())


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "tiny/1"
    folder.mkdir(parents=True)
    write_saved_model(folder, model, name="tiny", source="tiny", openvino=True)
    return folder


@pytest.fixture(scope="module")
def embeddings(folder):
    return embed(ModelVersion(folder))


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    texts = [text.decode() for text in (*TEXTS, *reference.TEXTS)]
    return read_spec(train_wordpiece(texts, 200, tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def standalone(folder, spec, tmp_path_factory):
    """The same model with a tokenizer that is not in the graph, as exports of MPNet have it."""
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("exports") / "tiny/1")
    rows, _ = HuggingFaceTokenizer(to_json(spec), 32)(reference.TEXTS)
    expected, _ = ModelVersion(folder).encode(rows)
    reference.write_reference(copy, spec, max_length=32, token_ids=rows, embeddings=expected)
    files = hash_files(copy)
    files.pop("manifest.json")
    dataclasses.replace(ExportManifest.read(copy), files=files).write(copy)
    return copy


@pytest.fixture(scope="module")
def standalone_embeddings(folder, spec):
    rows, _ = HuggingFaceTokenizer(to_json(spec), 32)(TEXTS)
    return ModelVersion(folder).encode(rows)[0]


def embed(version):
    rows, _ = version.tokenize(TEXTS)
    return version.encode(rows)[0]


def least_cosine(first, second):
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return ((first * second).sum(1) / norms).min()


def test_openvino_gives_the_embeddings_of_tensorflow(folder, embeddings):
    version = ModelVersion(folder, EngineOptions("openvino", "float32"))
    assert version.precision == "float32"
    assert version.cosine > 0.999999
    np.testing.assert_allclose(embed(version), embeddings, atol=1e-5)


def test_openvino_serves_several_threads_at_once(folder, embeddings):
    from concurrent.futures import ThreadPoolExecutor

    version = ModelVersion(folder, EngineOptions("openvino", "float32", workers=2))
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: embed(version), range(16)):
            np.testing.assert_allclose(found, embeddings, atol=1e-5)


def test_a_float32_export_serves_in_bfloat16(folder, embeddings):
    version = ModelVersion(folder, EngineOptions("tensorflow", "bfloat16"))
    found = embed(version)
    assert version.precision == "bfloat16"
    assert 0.99 < version.cosine < 0.9999999
    assert 0.99 < least_cosine(found, embeddings) < 0.9999999


def test_bfloat16_is_that_of_an_encoder_with_a_mixed_policy(model, folder):
    mixed = SentenceEncoder(model.encoder.config, dtype="mixed_bfloat16")
    for source, target in zip(model.encoder.variables, mixed.variables, strict=True):
        target.assign(source)
    version = ModelVersion(folder, EngineOptions("tensorflow", "bfloat16"))
    (row,), _ = version.tokenize([b"a few words of text"])
    segments, positions = np.ones_like(row), np.arange(len(row), dtype=np.int32)
    packed = {"token_ids": row[None], "segment_ids": segments[None], "positions": positions[None]}
    # As a graph, in which TensorFlow fuses the same operations and so rounds them alike.
    run = tf.function(lambda inputs: mixed(inputs, training=False, max_segments=1))
    expected = run(packed).numpy()[0]
    np.testing.assert_allclose(version.encode([row])[0], expected, atol=1e-6)


def test_an_encoder_without_matrix_products_is_not_changed_by_bfloat16(tiny_base):
    tiny = tiny_base / "1"
    version = ModelVersion(tiny, EngineOptions("tensorflow", "bfloat16"))
    np.testing.assert_array_equal(embed(version), embed(ModelVersion(tiny)))


def test_bfloat16_weights_are_stored_in_bfloat16(folder):
    version = ModelVersion(folder, EngineOptions("tensorflow", "bfloat16"))
    weights = version._engine._encode.get_concrete_function().captured_inputs
    kinds = [handle._handle_data.shape_and_type[0].dtype for handle in weights]
    # Of each layer four matrices and their biases; norms and embeddings stay float32.
    assert kinds.count(tf.bfloat16.as_datatype_enum) == 16


def test_an_export_that_lacks_what_is_asked_for_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "1", ignore=shutil.ignore_patterns("openvino"))
    with pytest.raises(UserError, match="export with `rejoinder export --openvino`"):
        ModelVersion(tmp_path / "1", EngineOptions("openvino"))
    manifest = dataclasses.replace(ExportManifest.read(folder), precision="bfloat16")
    manifest.write(tmp_path / "1")
    with pytest.raises(UserError, match="was exported with --precision bfloat16"):
        ModelVersion(tmp_path / "1", EngineOptions("tensorflow", "float32"))


def test_the_checksums_of_the_export_cover_the_openvino_model(folder):
    manifest = ExportManifest.read(folder)
    assert "assets.extra/openvino/encoder.bin" in manifest.files
    files = hash_files(folder)
    files.pop("manifest.json")
    assert manifest.files == files
    assert manifest.openvino == {"precision": "float32"}


def change(export, target, **values):
    """Copies an export with other values in its reference."""
    copy = shutil.copytree(export, target)
    path = copy / reference.REFERENCE_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return copy


def embed_with(server):
    body = {"input": [text.decode() for text in TEXTS], "model": "tiny"}
    answer = httpx.post(f"{server.url}/v1/embeddings", json=body).json()
    return np.array([row["embedding"] for row in answer["data"]])


def test_a_server_of_openvino_does_not_load_tensorflow(standalone, standalone_embeddings, start):
    server = start(standalone.parent, "--engine", "openvino")
    try:
        np.testing.assert_allclose(embed_with(server), standalone_embeddings, atol=1e-5)
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "tiny"
        request.inputs["text"].dtype = types_pb2.DT_STRING
        request.inputs["text"].tensor_shape.dim.add(size=len(TEXTS))
        request.inputs["text"].string_val.extend(TEXTS)
        with grpc.insecure_channel(server.grpc) as channel:
            service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            outputs = service.Predict(request).outputs
        np.testing.assert_allclose(to_array(outputs["embedding"]), standalone_embeddings, atol=1e-5)
        assert to_array(outputs["truncated"]).tolist() == [False, False, False, True, False]
        mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "libopenvino" in mapped
        assert "libtensorflow" not in mapped
    finally:
        assert server.stop() == 0


@pytest.mark.e2e  # it imports TensorFlow
def test_a_server_of_openvino_loads_tensorflow_for_an_export_of_an_older_release(
    folder, embeddings, start
):
    server = start(folder.parent, "--engine", "openvino")
    try:
        np.testing.assert_allclose(embed_with(server), embeddings, atol=1e-5)
        assert "takes 0.7 GB of memory, because an older release exported it" in server.log
    finally:
        assert server.stop() == 0


def test_another_unicode_version_of_the_tokenizer_is_noticed(
    standalone, embeddings, tmp_path, caplog
):
    copy = change(standalone, tmp_path / "1", tokenizers="0" * 64)
    np.testing.assert_allclose(embed(ModelVersion(copy, OPENVINO)), embeddings, atol=1e-5)
    assert "other Unicode tables than that of the export" in caplog.text


def test_the_reference_tells_the_cosine_to_float32(standalone, tmp_path):
    assert ModelVersion(standalone, OPENVINO).cosine > 0.999999
    values = json.loads((standalone / reference.REFERENCE_FILE).read_text())["embeddings"]
    copy = change(standalone, tmp_path / "1", embeddings=[values[1], *values[1:]])
    assert ModelVersion(copy, OPENVINO).cosine < 0.999
    (copy / reference.REFERENCE_FILE).write_text("{")
    with pytest.raises(UserError, match=r"reference.json: cannot be read .*; export the model"):
        ModelVersion(copy, OPENVINO)


def test_an_export_whose_two_tokenizers_differ_is_refused(spec, tmp_path):
    rows = [np.array([0, 5, 2], np.int32)] * len(reference.TEXTS)
    with pytest.raises(UserError, match="gives other ids than the model's; nothing was published"):
        reference.write_reference(
            tmp_path, spec, max_length=32, token_ids=rows, embeddings=np.zeros([5, 16], np.float32)
        )
    assert not list(tmp_path.iterdir())


def test_released_weights_are_read_from_the_file_again(standalone, standalone_embeddings, tmp_path):
    copy = shutil.copytree(standalone, tmp_path / "1")
    encoder = OpenVinoEncoder(str(copy / OPENVINO_FILE), bfloat16=False)
    rows, _ = ModelVersion(standalone, OPENVINO).tokenize(TEXTS)
    for _ in range(2):
        found, _ = encode_rows(encoder, rows, ExportManifest.read(standalone))
        np.testing.assert_allclose(found, standalone_embeddings, atol=1e-5)
        encoder.release_weights()
    assert resident_of(copy / "assets.extra/openvino/encoder.bin") == 0


def resident_of(path):
    """Returns the resident bytes of a mapped file in this process."""
    sizes, name = [], ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first:
            name = rest[-1]
        elif first == "Rss:" and name == str(path):
            sizes.append(int(rest[0]))
    return sum(sizes)


def add_int8(version_folder, *, accuracies, max_loss=1.0):
    """Replaces the OpenVINO model of a copy of the export by one with int8 weights."""
    version = ModelVersion(version_folder)
    expected = embed(version)
    results = iter(accuracies)
    texts = [f"text number {i}" for i in range(420)]
    return add_openvino(
        version_folder,
        version._tokenize._module.encode_packed.concrete_functions[0],
        lambda texts: version.tokenize([text.encode() for text in texts])[0],
        probes=[text.decode() for text in TEXTS],
        expected=expected,
        int8=Int8(texts, texts, lambda contexts, responses: next(results), max_loss),
    )


@pytest.mark.e2e  # nncf takes ten seconds
def test_int8_is_served_and_its_accuracy_described(folder, tmp_path, embeddings):
    copy = shutil.copytree(folder, tmp_path / "1")
    description = add_int8(copy, accuracies=[0.5, 0.495])
    assert description == {
        "precision": "int8",
        "one_of_100": {"float32": 0.5, "int8": 0.495},
        "pairs": 100,
        "calibration_texts": 300,
    }
    dataclasses.replace(ExportManifest.read(copy), openvino=description).write(copy)
    assert b'element_type="i8"' in (copy / OPENVINO_FILE).read_bytes()
    version = ModelVersion(copy, EngineOptions("openvino", "float32"))
    assert version.precision == "int8 with float32"
    assert 0.9 < least_cosine(embed(version), embeddings) < 0.999999


def test_int8_that_costs_too_much_accuracy_is_refused(folder, tmp_path, monkeypatch):
    copy = shutil.copytree(folder, tmp_path / "1", ignore=shutil.ignore_patterns("openvino"))
    monkeypatch.setattr(openvino_model, "quantize", lambda model, rows: model)
    message = r"from 50.0% to 48.0%, more than the 1 points of --int8-max-loss"
    with pytest.raises(UserError, match=message):
        add_int8(copy, accuracies=[0.5, 0.48])
    assert not (copy / OPENVINO_FILE).exists()
    add_int8(copy, accuracies=[0.5, 0.48], max_loss=2.5)
    assert (copy / OPENVINO_FILE).exists()


def test_a_missing_openvino_is_one_line(monkeypatch, folder):
    from rejoinder.serving import server

    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match=r"^serve --engine openvino: .*rejoinder\[openvino\]'$"):
        server.main(["--model", f"tiny={folder.parent}", "--engine", "openvino"])


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu amx_bf16 amx_tile", True), ("avx512_bf16", True), ("avx512f avx_vnni", False)],
)
def test_auto_is_bfloat16_where_the_processor_has_it(tmp_path, monkeypatch, flags, expected):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse2\nbugs\t\t: amx_bf16\n")
    assert has_bfloat16(cpuinfo) is expected
    monkeypatch.setattr("rejoinder.serving.engine_options.has_bfloat16", lambda: expected)
    args = make_parser("").parse_args(["--model", "a=b"])
    assert EngineOptions(args.engine, args.precision).wants_bfloat16 is expected
    assert not EngineOptions(precision="float32").wants_bfloat16
    assert EngineOptions(precision="bfloat16").wants_bfloat16


def test_a_machine_without_cpuinfo_has_no_bfloat16(tmp_path):
    assert not has_bfloat16(tmp_path / "none")


def test_openvino_and_nncf_send_nothing_and_write_nothing_at_home(folder, tmp_path):
    program = f"""
import socket, sys
def refuse(*args): raise SystemExit("opens a connection")
socket.socket.connect = refuse
from rejoinder.models.saved_model import openvino_model, reference
openvino = openvino_model.import_openvino("test")
model = openvino.Core().read_model({str(folder / "assets.extra/openvino/encoder.xml")!r})
import nncf
from nncf.telemetry import telemetry
print(type(telemetry).__name__ != "NNCFTelemetry", openvino.tools.ovc.telemetry_utils.tm.__name__)
print("openvino_telemetry.main" in sys.modules)
"""
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd())}
    run = [sys.executable, "-c", program]
    result = subprocess.run(run, env=env, capture_output=True, text=True, check=True)
    assert result.stdout.split("\n")[-3:] == [
        "True openvino.tools.ovc.telemetry_stub",
        "False",
        "",
    ]
    assert not (tmp_path / "intel").exists()
