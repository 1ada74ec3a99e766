"""Every runner writes the same bytes: in memory, in processes, a job service, with gs://."""

import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from rejoinder.pipelines.testing import awkward, dialogue, ndjson

# More of the awkward lines are rejected than the default allows. The Parquet files beside the
# shards have to be the same, too.
OPTIONS = ("--max-bad-ratio", "0.1", "--keep-text", "--format", "parquet")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece

    folder = tmp_path_factory.mktemp("runners")
    train_wordpiece(["this is the comment number 1 2 3"] * 50, 200, folder / "tokenizer")
    lines = [*dialogue(1_500), *awkward(3_000, 1)]
    compress = {"": bytes, ".zst": zstandard.ZstdCompressor().compress, ".gz": gzip.compress}
    for number, (ending, make) in enumerate(compress.items()):
        (folder / f"RC_{number}{ending}").write_bytes(make(ndjson(lines[number::3])))
    return folder


def run(inputs: Path, output: str, *arguments: str, **environment: str) -> None:
    command = [sys.executable, "-m", "rejoinder", "preprocess", "--input", f"{inputs}/RC_*"]
    command += ["--output", output, "--tokenizer", str(inputs / "tokenizer"), "--quiet", *OPTIONS]
    done = subprocess.run(
        [*command, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def shards(folder: Path) -> dict[str, str]:
    paths = [*folder.glob("*.tfrecord-*"), *folder.glob("data/*.parquet")]
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert found
    return found


@pytest.fixture(scope="module")
def expected(inputs, tmp_path_factory) -> dict[str, str]:
    output = tmp_path_factory.mktemp("expected") / "corpus"
    run(inputs, str(output))
    return shards(output)


@pytest.mark.parametrize("arguments", [("--workers", "2"), ("--workers", "3")])
def test_several_processes_write_the_same_bytes(inputs, expected, tmp_path, arguments):
    run(inputs, str(tmp_path / "corpus"), *arguments)
    assert shards(tmp_path / "corpus") == expected


def test_an_error_in_a_worker_process_is_one_line(inputs, tmp_path):
    (tmp_path / "RC_cut.zst").write_bytes(b"\x28\xb5\x2f\xfd\x04")
    command = [sys.executable, "-m", "rejoinder", "preprocess", "--input", f"{tmp_path}/RC_*"]
    command += ["--output", str(tmp_path / "out"), "--tokenizer", str(inputs / "tokenizer")]
    done = subprocess.run(
        [*command, "--workers", "2", "--quiet"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "RC_cut.zst: truncated zstd archive at byte offset 5" in done.stderr


def test_duplicates_are_dropped_alike_by_several_processes(inputs, tmp_path):
    run(inputs, str(tmp_path / "one"), "--preset", "clean")
    run(inputs, str(tmp_path / "two"), "--preset", "clean", "--workers", "2")
    assert shards(tmp_path / "one") == shards(tmp_path / "two")


def test_a_corpus_is_converted_alike_by_several_processes(inputs, tmp_path):
    run(inputs, str(tmp_path / "corpus"))
    command = [sys.executable, "-m", "rejoinder", "convert", str(tmp_path / "corpus")]
    command += ["--format", "parquet", "--workers", "2", "--output", str(tmp_path / "out")]
    subprocess.run(command, check=True)
    made = shards(tmp_path / "corpus")
    assert shards(tmp_path / "out") == {n: made[n] for n in made if n.endswith(".parquet")}


def test_a_portable_job_service_writes_the_same_bytes(
    inputs, expected, tmp_path, free_port, wait_for
):
    port = free_port()
    service = subprocess.Popen(
        [
            *(sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main"),
            f"--job_port={port}",
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, service)
        arguments = ["--runner", "PortableRunner", "--job_endpoint", f"127.0.0.1:{port}"]
        run(inputs, str(tmp_path / "corpus"), *arguments, "--environment_type", "LOOPBACK")
    finally:
        service.terminate()
        service.wait()
    assert shards(tmp_path / "corpus") == expected


def test_a_corpus_on_gs_has_the_same_bytes(inputs, expected, gs_emulator):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    name = "dumps"
    with gs_emulator(name) as address:
        client = storage.Client(
            project="p",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": address},
        )
        for path in [*inputs.glob("RC_*"), *(inputs / "tokenizer").iterdir()]:
            client.bucket(name).blob(f"in/{path.name}").upload_from_filename(str(path))
        command = [sys.executable, "-m", "rejoinder", "preprocess", "--quiet", *OPTIONS]
        command += ["--input", f"gs://{name}/in/RC_*", "--output", f"gs://{name}/out/corpus"]
        command += ["--tokenizer", f"gs://{name}/in"]
        environment = os.environ | {"STORAGE_EMULATOR_HOST": address}
        for again in ([], ["--overwrite"]):
            done = subprocess.run(
                [*command, *again],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr[-3000:]
            blobs = {blob.name: blob for blob in client.list_blobs(name)}
            assert not [n for n in blobs if "staging" in n]
            assert "out/corpus/COMPLETED" in blobs
            found = {
                n.rsplit("/", 1)[1]: hashlib.sha256(blob.download_as_bytes()).hexdigest()
                for n, blob in blobs.items()
                if ".tfrecord-" in n or n.endswith(".parquet")
            }
            assert found == expected
        refused = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1
        assert "holds a finished corpus" in refused.stderr
