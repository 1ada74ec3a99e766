"""A run continues an interrupted one: finished tasks are not repeated, the bytes are the same."""

import os
import signal
from collections import Counter

import pytest

from rejoinder import interrupts, publishing
from rejoinder.errors import UserError
from rejoinder.pipelines.job import records, resume
from rejoinder.pipelines.job.steps import tasks
from rejoinder.pipelines.testing import dialogue, ndjson

SHARDS = 6


@pytest.fixture
def dumps(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    lines = dialogue(90)
    for number in range(3):
        path = folder / f"RC_{number}"
        path.write_bytes(ndjson(lines[number::3]))
    return folder


@pytest.fixture
def run(preprocess, dumps):
    """Returns a function that runs the command and returns the corpus' files."""

    def run(output="corpus", arguments=()):
        given = ["--name", "same", "--num-shards", str(SHARDS), "--preset", "clean", *arguments]
        folder = preprocess(dumps, output=output, arguments=given)
        found = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in found}

    return run


@pytest.fixture
def done(monkeypatch) -> Counter:
    """Returns how often the tasks of each step were done."""
    counts: Counter[str] = Counter()
    for step in (tasks.ReadParts, tasks.DigestBuckets, tasks.FindRepeats, tasks.WriteBuckets):

        def counted(self, number, real=step.run):
            result = real(self, number)
            counts[self.step] += 1
            return result

        monkeypatch.setattr(step, "run", counted)
    return counts


ALL = {"part": 3, "digests": SHARDS, "repeats": SHARDS, "bucket": SHARDS}


@pytest.fixture
def interrupt(monkeypatch, run):
    """Returns a function that runs the command, ends it before a task, and returns the error."""

    def interrupt(step, number, kept_seconds=0.0):
        real = step.run

        def stopping(self, at):
            if at == number:
                raise UserError("the disk is full")
            return real(self, at)

        monkeypatch.setattr(resume, "_KEPT_SECONDS", kept_seconds)
        with monkeypatch.context() as patch:
            patch.setattr(step, "run", stopping)
            with pytest.raises(UserError, match="the disk is full") as caught:
                run()
        return str(caught.value)

    return interrupt


MOMENTS = {
    "reading": (tasks.ReadParts, 2, {"part": 1}),
    "digesting": (tasks.DigestBuckets, 4, {"part": 0, "digests": 2}),
    "finding repeats": (tasks.FindRepeats, 1, {"part": 0, "digests": 0, "repeats": 5}),
    "writing": (tasks.WriteBuckets, 5, {"part": 0, "digests": 0, "repeats": 0, "bucket": 1}),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_was_interrupted_is_continued_with_the_same_bytes(run, interrupt, done, moment):
    expected = run("undisturbed")
    step, number, left = MOMENTS[moment]
    error = interrupt(step, number)
    assert "the disk is full; " in error
    assert "finished work is kept in " in error
    done.clear()
    assert run() == expected
    assert {**dict.fromkeys(ALL, 0), **done} == {**ALL, **left}


def test_a_run_that_ended_while_publishing_does_no_task_again(run, done, monkeypatch, tmp_path):
    expected = run("undisturbed")
    monkeypatch.setattr(resume, "_KEPT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(publishing.storage, "sync_tree", lambda folder: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run()
    assert list((tmp_path / "corpus.staging" / "ready").iterdir())
    done.clear()
    assert run() == expected
    assert not done


def test_files_that_lost_bytes_in_a_crash_are_made_again(run, interrupt, done, tmp_path):
    expected = run("undisturbed")
    interrupt(tasks.WriteBuckets, 4)
    staging = tmp_path / "corpus.staging"
    rows = staging / "shuffle" / tasks.task_name("part", 1)
    rows.write_bytes(rows.read_bytes()[:-10])
    shard = sorted(path for path in staging.glob("staged-*") if path.stat().st_size)[0]
    shard.write_bytes(bytes(shard.stat().st_size))
    (staging / "finished" / tasks.task_name("digests", 2)).write_bytes(b"")
    (staging / "shuffle" / "part-of-a-task").write_bytes(b"unfinished")
    (staging / "staged-unfinished").write_bytes(b"unfinished")
    done.clear()
    assert run() == expected
    assert done == {"part": 1, "digests": 1, "bucket": 3}


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        (["--min-chars", "10"], "differs in min_chars"),
        (["--max-length", "20", "--keep-text"], "differs in max_length"),
        (["--restart"], "--restart is given"),
    ],
)
def test_other_options_start_from_the_beginning_and_say_so(
    run, interrupt, done, dumps, tokenizer_folder, tmp_path, capsys, arguments, difference
):
    from rejoinder.pipelines import preprocess as command

    expected = run("undisturbed", arguments)
    interrupt(tasks.WriteBuckets, 2)
    done.clear()
    capsys.readouterr()
    paths = ["--input", str(dumps), "--output", str(tmp_path / "corpus")]
    options = ["--num-shards", str(SHARDS), "--preset", "clean", "--keep-text", "--workers", "1"]
    command.main([*paths, "--tokenizer", tokenizer_folder, *options, *arguments])
    shard = "test.tfrecord-00001-of-00006"
    assert (tmp_path / "corpus" / shard).read_bytes() == expected[shard]
    assert done == ALL
    error = capsys.readouterr().err
    assert error.startswith("starting from the beginning: ")
    assert difference in error.splitlines()[0]


def test_a_changed_input_starts_from_the_beginning(run, interrupt, done, dumps):
    interrupt(tasks.WriteBuckets, 2)
    path = dumps / "RC_1"
    os.utime(path, (1, 1))
    done.clear()
    run()
    assert done == ALL


def test_another_ratio_of_bad_lines_continues(run, interrupt, done):
    interrupt(tasks.WriteBuckets, 2)
    done.clear()
    run(arguments=["--max-bad-ratio", "0.5"])
    assert done == {"bucket": SHARDS - 2}


def test_work_of_less_than_a_minute_leaves_nothing(interrupt, tmp_path):
    error = interrupt(tasks.WriteBuckets, 2, kept_seconds=60.0)
    assert error == "the disk is full"
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(("number", "kept"), [(signal.SIGINT, False), (signal.SIGTERM, True)])
def test_sigterm_keeps_what_ctrl_c_gives_up(staged, monkeypatch, number, kept):
    monkeypatch.setattr(interrupts, "received", lambda: number)
    assert bool(resume.kept_line(str(staged))) == kept


@pytest.fixture
def staged(tmp_path):
    """A staging folder with ten seconds of finished work."""
    staging = tmp_path / "out.staging"
    staging.mkdir()
    resume.begin(str(staging), {"inputs": "a"})
    records.write(str(staging), "part-000000", records.Record(10.0, {}, None))
    return staging


def test_a_published_run_keeps_nothing(staged, monkeypatch):
    monkeypatch.setattr(resume, "_KEPT_SECONDS", 0.0)
    assert resume.kept_line(str(staged))
    (staged / records.RUN).unlink()
    assert resume.kept_line(str(staged)) is None


def test_after_ctrl_c_the_one_line_says_what_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "_KEPT_SECONDS", 5.0)

    def run():
        with resume.continued(str(tmp_path / "out"), {}, restart=False, tell=print):
            records.write(str(tmp_path / "out.staging"), "part-0", records.Record(10.0, {}, None))
            raise KeyboardInterrupt

    with pytest.raises(interrupts.Interrupted, match=r"^interrupted: 10 s of .* is kept"):
        run()


def test_the_line_about_a_continued_run_counts_its_finished_tasks(staged):
    found = resume.prepare(str(staged), {"inputs": "a"}, restart=False)
    assert found == "continuing the interrupted run: 1 of its tasks are finished"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\0\0"])
def test_a_staging_folder_of_an_unknown_run_is_emptied(staged, content):
    (staged / records.RUN).write_bytes(content)
    resume.prepare(str(staged), {"inputs": "a"}, restart=False)
    assert records.names(str(staged)) == []


def test_only_task_numbers_cross_the_runner(run, monkeypatch):
    """The coordinator's memory therefore does not depend on flushes, buckets or rows."""
    real, crossed = tasks.RunTask.process, []

    def recorded(self, number):
        for value in real(self, number):
            crossed.append(value)
            yield value

    monkeypatch.setattr(tasks.RunTask, "process", recorded)
    run()
    assert crossed == [(0, b"")] * sum(ALL.values())
