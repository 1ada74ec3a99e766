"""The whole command against a Dataflow service that runs the job, with a bucket's emulator."""

import hashlib
import importlib.util
import json
import signal
import threading
from pathlib import Path

import pytest

from rejoinder.errors import UserError
from rejoinder.interrupts import Interrupted

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
TEMPLATE = HERE.parents[1] / "deploy" / "dataflow" / "template.py"
BUCKET = "dumps"


@pytest.fixture(scope="module")
def bucket(dumps, tmp_path_factory, gs_emulator):
    """The emulator's bucket with the input; credentials of nobody."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    with gs_emulator(BUCKET) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        credentials = service_account(tmp_path_factory.mktemp("credentials"))
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", credentials)
        client = storage.Client(
            project="p",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": address},
        )
        for path in [*dumps.glob("RC_*"), *(dumps / "tokenizer").iterdir()]:
            client.bucket(BUCKET).blob(f"in/{path.name}").upload_from_filename(str(path))
        client.bucket(BUCKET).blob("bad/RC_cut.zst").upload_from_string(b"\x28\xb5\x2f\xfd\x04")
        yield client.bucket(BUCKET)


def service_account(folder: Path) -> str:
    """Writes the key of an account that does not exist: Beam otherwise searches for 80 s."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {"type": "service_account", "project_id": "p", "private_key": key.decode()}
    account |= {"client_email": "nobody@example.com", "token_uri": "http://localhost:1/token"}
    (folder / "key.json").write_text(json.dumps(account))
    return str(folder / "key.json")


def load(path: Path):
    """Imports a file that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def dataflow(bucket):
    service = load(HERE / "fake_dataflow.py").FakeDataflow(bucket)
    yield service
    service.close()


@pytest.fixture
def submit(dataflow, preprocess):
    """Returns a function that runs the command with an output folder of the bucket."""

    def run(name: str, *arguments: str, given: str = f"gs://{BUCKET}/in/RC_*") -> None:
        output = f"gs://{BUCKET}/{name}/corpus"
        options = [*options_of(dataflow), *arguments]
        preprocess(output, *options, given=given, tokenizer=f"gs://{BUCKET}/in")

    return run


def options_of(dataflow) -> list[str]:
    return [
        *("--runner=DataflowRunner", "--project=p", "--region=europe-west4"),
        *(f"--temp_location=gs://{BUCKET}/temp", "--sdk_container_image=registry/rejoinder:1"),
        *("--no_auth", f"--dataflow_endpoint={dataflow.endpoint}"),
    ]


def shards(bucket, name: str) -> dict[str, str]:
    blobs = {blob.name: blob for blob in bucket.list_blobs(prefix=f"{name}/")}
    assert f"{name}/corpus/COMPLETED" in blobs
    assert [found for found in blobs if "staging" in found] == []
    return {
        found.rpartition("/")[2]: hashlib.sha256(blob.download_as_bytes()).hexdigest()
        for found, blob in blobs.items()
        if ".tfrecord-" in found
    }


def test_a_job_that_is_waited_for_writes_the_same_bytes(submit, bucket, expected, dataflow):
    submit("waited")
    assert shards(bucket, "waited") == expected
    (request,) = dataflow.requests
    assert "registry/rejoinder:1" in json.dumps(request)


def test_a_detached_job_publishes_after_the_command_has_ended(
    submit, bucket, expected, dataflow, capsys
):
    submit("detached", "--detach")
    printed = capsys.readouterr()
    assert f"gs://{BUCKET}/detached/corpus" in printed.out
    assert printed.err == "DataflowRunner: job fake-1 is running\n"
    assert dataflow.finish() == "JOB_STATE_DONE"
    assert shards(bucket, "detached") == expected


def test_the_entry_of_the_flex_template_submits_the_job(
    bucket, expected, dataflow, dumps, monkeypatch
):
    """With the arguments that the service's launcher gives."""
    from rejoinder.pipelines import preprocess

    given = [f"--input=gs://{BUCKET}/in/RC_*", f"--output=gs://{BUCKET}/flex/corpus"]
    given += [f"--tokenizer=gs://{BUCKET}/in", "--max_bad_ratio=0.1", "--overwrite=false"]
    preprocess.main(load(TEMPLATE).translate([*given, *options_of(dataflow), "--job_name=j"]))
    assert dataflow.finish() == "JOB_STATE_DONE"
    assert shards(bucket, "flex") == expected


def test_the_message_of_a_failed_job_is_one_line(submit, dataflow, capfd):
    with pytest.raises(UserError) as caught:
        submit("failed", given=f"gs://{BUCKET}/bad/RC_*")
    assert "RC_cut.zst: truncated zstd archive at byte offset 5" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_job_that_the_service_refuses_is_one_line(submit, dataflow, capfd, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between Beam's three attempts
    dataflow.refusal = "the caller lacks dataflow.jobs.create"
    with pytest.raises(UserError) as caught:
        submit("refused")
    assert str(caught.value).startswith("--runner DataflowRunner: 403 ")
    assert "the caller lacks dataflow.jobs.create" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_an_interrupt_cancels_the_job(submit, dataflow, interruptible):
    dataflow.runs_jobs = False

    def interrupt() -> None:
        while not dataflow.requests:
            threading.Event().wait(0.1)
        threading.Event().wait(1.0)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted, match=r"^interrupted: job fake-1 was cancelled$"):
        submit("interrupted")
    assert dataflow.finish() == "JOB_STATE_CANCELLED"


def test_doctor_proves_the_set_up_and_removes_its_files(bucket, dataflow):
    from rejoinder.pipelines import engine_check

    _, *options = options_of(dataflow)
    found = list(engine_check.check_engine("DataflowRunner", "", options))
    assert found[0].found.startswith(f"on machines of Google Cloud; files in gs://{BUCKET}/temp/")
    assert found[-1].found.startswith("all 8 shards are equal; ")
    assert list(bucket.list_blobs(prefix="temp/rejoinder-doctor")) == []
