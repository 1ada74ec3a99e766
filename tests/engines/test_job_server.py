"""The process of an engine: started, watched, and ended with everything that it started."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.job import execution, runners
from rejoinder.pipelines.job.engines import job_server

# Listens on a port, starts a process, and writes both process ids to a file.
ENGINE = """
import os, socket, subprocess, sys, time
child = subprocess.Popen(["sleep", "600"])
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
open(os.environ["TMPDIR"] + "/work", "w").close()
open(sys.argv[2], "w").write(f"{os.getpid()} {child.pid}")
time.sleep(600)
"""


@pytest.fixture
def engine(tmp_path, free_port):
    """A running engine, its process ids, and its folder."""
    folder, port = tmp_path / "folder", free_port()
    folder.mkdir()
    command = [sys.executable, "-c", ENGINE, port, tmp_path / "pids"]
    with contextlib.closing(job_server.EngineProcess("Runner", command, str(folder))) as process:
        process.wait_until_it_listens(f"localhost:{port}")
        while not (pids := (tmp_path / "pids")).exists() or not pids.read_text():
            time.sleep(0.05)
        yield process, [int(pid) for pid in pids.read_text().split()], folder


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_closing_ends_the_engine_and_what_it_started_and_removes_its_files(engine):
    process, pids, folder = engine
    assert (folder / "work").exists()
    assert process.death_error() is None
    process.close()
    assert gone(pids)
    assert not folder.exists()


def test_a_command_that_disappears_ends_the_engine(engine):
    """The kernel closes the socket of a command that is killed."""
    process, pids, folder = engine
    process._connection.close()
    assert gone(pids)
    while folder.exists():
        time.sleep(0.05)


def test_an_engine_that_is_killed_names_the_reason(engine):
    process, pids, _ = engine
    os.kill(pids[0], signal.SIGKILL)
    while not (error := process.death_error()):
        time.sleep(0.05)
    assert str(error).startswith("--runner Runner: its process was killed (signal 9), as ")
    assert gone(pids)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["/none/java"], "--runner R: cannot be started (/none/java: No such file or directory)"),
        (
            ["sh", "-c", "echo no port; exit 3"],
            "--runner R: its process ended (exit status 3): no port",
        ),
    ],
)
def test_an_engine_that_does_not_start_is_one_line(command, message, tmp_path):
    (tmp_path / "folder").mkdir()
    process = job_server.EngineProcess("R", command, str(tmp_path / "folder"))
    with contextlib.closing(process), pytest.raises(UserError) as caught:
        process.wait_until_it_listens("localhost:1")
    assert str(caught.value) == message


@pytest.mark.parametrize("engine_name", ["flink", "spark"])
def test_a_jar_that_is_missing_names_its_option(engine_name):
    given = [f"--{engine_name}_job_server_jar=/none/server.jar"]
    with pytest.raises(UserError) as caught:
        execution.run_pipeline(
            runners.choose(f"{engine_name.title()}Runner", 1, given), lambda pipeline: None
        )
    assert str(caught.value).startswith(f"--{engine_name}_job_server_jar /none/server.jar: no such")


def test_java_that_is_missing_is_one_line(tmp_path):
    (tmp_path / "server.jar").touch()
    given = [
        f"--flink_job_server_jar={tmp_path}/server.jar",
        "--job_server_java_launcher=/none/java",
    ]
    with pytest.raises(UserError) as caught:
        execution.run_pipeline(runners.choose("FlinkRunner", 1, given), lambda pipeline: None)
    assert str(caught.value).startswith("--runner FlinkRunner: cannot be started (/none/java: ")


# A job server as Beam starts it for Flink and Spark, with Beam's own service instead of Java's.
JAVA = f"""#!{sys.executable}
import sys
from apache_beam.runners.portability import local_job_service_main
local_job_service_main.run(["--job_port", sys.argv[sys.argv.index("--job-port") + 1]])
"""


@pytest.mark.e2e
@pytest.mark.parametrize("engine_name", ["flink", "spark"])
def test_a_job_server_that_beam_starts_writes_the_same_bytes(
    engine_name, preprocess, expected, hashes, tmp_path, monkeypatch, capfd
):
    """Handler of Ctrl-C included: Beam's own waits for a lock that it may hold."""
    java, jar = tmp_path / "java", tmp_path / "server.jar"
    java.write_text(JAVA)
    java.chmod(0o755)
    jar.touch()
    before = signal.getsignal(signal.SIGINT)
    runner = ["--runner", f"{engine_name.title()}Runner", f"--{engine_name}_job_server_jar={jar}"]
    preprocess(tmp_path / "out", *runner, f"--job_server_java_launcher={java}")
    assert hashes(tmp_path / "out") == expected
    assert signal.getsignal(signal.SIGINT) is before
    assert capfd.readouterr().err == ""
