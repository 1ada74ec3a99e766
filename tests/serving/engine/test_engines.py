"""TensorFlow and OpenVINO, float32, bfloat16 and int8, behind the same server."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.hardware import has_bfloat16
from rejoinder.models.export import write_saved_model
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.saved_model import openvino_model
from rejoinder.models.saved_model.int8 import Int8, add_openvino
from rejoinder.models.saved_model.manifest import ExportManifest, hash_files
from rejoinder.models.saved_model.openvino_model import OPENVINO_FILE
from rejoinder.models.saved_model.testing import TinyTokenizer
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.engine_options import EngineOptions
from rejoinder.serving.parser import make_parser

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
    folder = tmp_path_factory.mktemp("export") / "1"
    folder.mkdir()
    write_saved_model(folder, model, name="tiny", source="tiny", openvino=True)
    return folder


@pytest.fixture(scope="module")
def embeddings(folder):
    return embed(ModelVersion(folder))


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


def add_int8(version_folder, *, accuracies, max_loss=1.0):
    """Replaces the OpenVINO model of a copy of the export by one with int8 weights."""
    version = ModelVersion(version_folder)
    expected = embed(version)
    results = iter(accuracies)
    texts = [f"text number {i}" for i in range(420)]
    return add_openvino(
        version_folder,
        version._module.encode_packed.concrete_functions[0],
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
from rejoinder.models.saved_model import openvino_model
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
