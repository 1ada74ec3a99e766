"""Prism, Beam's portable runner: equal bytes, one-line errors, and no process left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rejoinder import object_store, storage
from rejoinder.errors import UserError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
DATA = Path(os.environ.get("REJOINDER_DATA", "../shared/data"))
MONTHS = [
    DATA / "reddit_dumps" / name for name in ("RC_2005-12.zst", "RC_2006-01.zst", "RC_2006-02.bz2")
]


@pytest.fixture(scope="module")
def months() -> str:
    if not MONTHS[0].exists():
        pytest.skip(f"no dumps at {DATA}; set REJOINDER_DATA")
    return ",".join(map(str, MONTHS))


@pytest.fixture
def of_months(months, preprocess, tmp_path, hashes):
    preprocess(tmp_path / "local", "--workers", "1", given=months)
    return hashes(tmp_path / "local")


def test_the_golden_months_are_equal_with_workers_in_the_command(
    preprocess, months, of_months, prism, tmp_path, hashes, capfd
):
    runner = ["--runner", "PrismRunner", "--prism_location", prism]
    preprocess(tmp_path / "prism", *runner, given=months)
    assert hashes(tmp_path / "prism") == of_months
    assert capfd.readouterr().err == ""


def test_the_golden_months_are_equal_with_workers_in_another_process(
    preprocess, months, of_months, prism, tmp_path, hashes, free_port, wait_for
):
    port = free_port()
    # Beam starts the program `python` that it finds first.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    pool = subprocess.Popen(
        [sys.executable, HERE / "worker_pool.py", str(port)], env=os.environ | {"PATH": path}
    )
    try:
        wait_for(port, pool)
        runner = ["--runner", "PrismRunner", "--prism_location", prism]
        runner += ["--environment_type", "EXTERNAL", "--environment_config", f"127.0.0.1:{port}"]
        preprocess(tmp_path / "prism", *runner, given=months)
    finally:
        pool.terminate()
        pool.wait()
    assert hashes(tmp_path / "prism") == of_months


def test_damaged_input_is_one_error_that_names_file_and_offset(preprocess, prism, tmp_path, capfd):
    (tmp_path / "RC_cut.zst").write_bytes(b"\x28\xb5\x2f\xfd\x04")
    runner = ["--runner", "PrismRunner", "--prism_location", prism]
    with pytest.raises(UserError) as caught:
        preprocess(tmp_path / "out", *runner, given=tmp_path / "RC_cut.zst")
    assert "RC_cut.zst: truncated zstd archive at byte offset 5" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["RC_cut.zst"]


def test_a_job_cannot_outlive_workers_in_the_command(preprocess, prism, tmp_path):
    runner = ["--runner", "PrismRunner", "--prism_location", prism, "--detach"]
    with pytest.raises(UserError, match=r"^--detach: the workers of --runner PrismRunner would"):
        preprocess(tmp_path / "out", *runner)
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_in_an_s3_bucket_has_the_same_bytes(
    preprocess, expected, dumps, prism, tmp_path, hashes, monkeypatch
):
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    object_store._filesystem.cache_clear()
    try:
        object_store.filesystem("s3://bucket").mkdir("bucket")
        for path in [*dumps.glob("RC_*"), *(dumps / "tokenizer").iterdir()]:
            storage.write_bytes(f"s3://bucket/in/{path.name}", path.read_bytes())
        preprocess(
            "s3://bucket/out",
            *("--runner", "PrismRunner", "--prism_location", prism),
            given="s3://bucket/in/RC_*",
            tokenizer="s3://bucket/in",
        )
        for entry in storage.list_tree("s3://bucket/out"):
            (tmp_path / entry.path.rpartition("/")[2]).write_bytes(storage.read_bytes(entry.path))
    finally:
        server.stop()
        object_store._filesystem.cache_clear()
    assert hashes(tmp_path) == expected


@pytest.fixture
def command(dumps, prism, tmp_path, interruptible):
    """Starts the command as a process."""
    arguments = [sys.executable, "-m", "rejoinder", "preprocess", "--input", f"{dumps}/RC_*"]
    arguments += ["--output", str(tmp_path / "out"), "--tokenizer", str(dumps / "tokenizer")]
    arguments += ["--max-bad-ratio", "0.1", "--runner", "PrismRunner", "--prism_location", prism]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


def engine_of(command, engines_of) -> int:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if found := engines_of(command.pid):
            return found[0]
        time.sleep(0.1)
    raise AssertionError("no Prism process")


def ends(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.1)
    return False


def test_two_interrupts_within_a_second_end_the_command_and_the_engine(
    command, engines_of, tmp_path
):
    engine = engine_of(command, engines_of)
    started = time.monotonic()
    command.send_signal(signal.SIGINT)
    time.sleep(0.3)
    command.send_signal(signal.SIGINT)
    _, printed = command.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert (command.returncode, printed) == (130, "interrupted\n")
    assert ends(engine, 3)
    assert list(tmp_path.iterdir()) == []


def test_the_engine_ends_with_a_command_that_is_killed(command, engines_of):
    engine = engine_of(command, engines_of)
    command.kill()
    assert ends(engine, 10)


def test_an_engine_that_is_killed_is_one_line(command, engines_of):
    engine = engine_of(command, engines_of)
    os.kill(engine, signal.SIGKILL)
    _, printed = command.communicate(timeout=60)
    assert command.returncode == 1
    (line,) = printed.splitlines()
    assert line.startswith("error: --runner PrismRunner: its process was killed (signal 9)")
