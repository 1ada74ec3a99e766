"""`rejoinder vocab` reads as `rejoinder preprocess` does, and writes only complete tokenizers."""

import hashlib
import json
import random
import subprocess
import sys

import pytest

from rejoinder import cli
from rejoinder.models.tokenizer import Tokenizer
from rejoinder.pipelines import vocab
from rejoinder.pipelines.testing import COMPRESS, dialogue, ndjson

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "naïve", "café"]
WORDS += ["über", "straße", "ここ", "answer", "question", "reply", "thread", "comment"]


def dump() -> bytes:
    choose = random.Random(5)
    lines = dialogue(40)
    for line in lines:
        line["body"] = " ".join(choose.choices(WORDS, k=8))
    return ndjson(lines)


def run(*inputs, output, size=120, arguments=("--field", "body")) -> int:
    """Runs the command as the shell does; returns its exit status."""
    command = ["--input", *map(str, inputs), "--output", str(output), "--size", str(size)]
    with pytest.raises(SystemExit) as caught:
        cli.run(lambda: vocab.main([*command, *arguments]))
    return int(caught.value.code or 0)


def digest(folder) -> str:
    return hashlib.sha256((folder / "vocab.txt").read_bytes()).hexdigest()


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "RC_2015-01.zst"
    path.write_bytes(COMPRESS[".zst"](dump()))
    return path


@pytest.fixture
def truncated(tmp_path):
    path = tmp_path / "RC_2015-02.zst"
    path.write_bytes(COMPRESS[".zst"](dump())[:-9])
    return path


def test_a_dump_gives_a_fixed_vocabulary(archive, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(archive, output=output) == 0
    assert sorted(path.name for path in output.iterdir()) == sorted(
        [*vocab.TOKENIZER_FILES, "COMPLETED"]
    )
    assert digest(output) == DIGEST
    assert Tokenizer.from_folder(output).vocab_size == 120
    written, following = capsys.readouterr().out.splitlines()
    assert written == f"wrote {output}: a tokenizer of 120 tokens, learned from 1 file"
    assert following == (
        f"next: rejoinder preprocess --input DUMPS --tokenizer {output} --output CORPUS"
    )


DIGEST = "9ed9528bbf21701bfd9006e02dee13da6b4bf89c609afcfcc49c802c8b126e40"


def test_the_command_does_not_import_tensorflow(archive, tmp_path):
    command = ["vocab", "--input", str(archive), "--field", "body", "--size", "60"]
    command += ["--output", str(tmp_path / "out")]
    code = (
        f"import sys; from rejoinder.commands import dispatch; status = dispatch({command!r}); "
        "print(status, {'tensorflow', 'apache_beam', 'polars'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("0 set()", "")


@pytest.mark.parametrize("how", ["glob", "folder", "list", "other codec"])
def test_globs_folders_and_lists_name_the_same_files(tmp_path, how):
    half = len(dump()) // 2 + dump()[len(dump()) // 2 :].index(b"\n") + 1
    (tmp_path / "RC_1.zst").write_bytes(COMPRESS[".zst"](dump()[:half]))
    (tmp_path / "RC_2.xz").write_bytes(COMPRESS[".xz"](dump()[half:]))
    (tmp_path / "RC_whole").write_bytes(dump())
    inputs = {
        "glob": f"{tmp_path}/RC_[12].*",
        "folder": tmp_path / "folder",
        "list": f"{tmp_path}/RC_1.zst,{tmp_path}/RC_2.xz",
        "other codec": tmp_path / "RC_whole",
    }
    (tmp_path / "folder").mkdir()
    for path in tmp_path.glob("RC_[12]*"):
        (tmp_path / "folder" / path.name).write_bytes(path.read_bytes())
    assert run(inputs[how], output=tmp_path / "out") == 0
    assert digest(tmp_path / "out") == DIGEST


def test_a_truncated_archive_is_an_error_and_nothing_is_written(truncated, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(truncated, output=output) == 1
    (line,) = capsys.readouterr().err.splitlines()
    offset = truncated.stat().st_size
    assert line.startswith(f"error: {truncated}: truncated zstd archive at byte offset {offset} ")
    assert not output.exists()


def test_the_data_before_the_damage_is_used_if_asked_for(truncated, tmp_path, capsys):
    keep = ("--field", "body", "--on-truncated", "keep")
    assert run(truncated, output=tmp_path / "out", size=60, arguments=keep) == 1
    assert "no text" in capsys.readouterr().err, "one frame: nothing is decompressed before its end"
    frames = b"".join(COMPRESS[".zst"](part) for part in (dump(), dump()))
    truncated.write_bytes(frames[:-9])
    assert run(truncated, output=tmp_path / "out", arguments=keep) == 0
    assert f"kept the data before the damage: {truncated}: truncated" in capsys.readouterr().err
    assert digest(tmp_path / "out") == DIGEST


def test_skipped_lines_are_counted_by_reason(tmp_path, capsys):
    path = tmp_path / "RC"
    path.write_bytes(dump() + b'{broken\n\n[1]\n{"body": "a\\u0000b"}\n{"id": "no body"}\n')
    assert run(path, output=tmp_path / "out") == 0
    assert capsys.readouterr().err == (
        f"{path}: skipped 3 of 205 lines (broken_json 1, not_an_object 1, nul 1)\n"
    )
    assert digest(tmp_path / "out") == DIGEST


def test_submissions_are_accepted(tmp_path):
    lines = [{"title": json.loads(line)["body"]} for line in dump().splitlines()]
    (tmp_path / "RS_1").write_bytes(ndjson(lines))
    assert run(tmp_path / "RS_1", output=tmp_path / "out", arguments=("--field", "title")) == 0
    assert digest(tmp_path / "out") == DIGEST


def test_plain_lines_are_texts_without_a_field(tmp_path):
    texts = [json.loads(line)["body"] for line in dump().splitlines()]
    (tmp_path / "x.txt").write_text("\n\n".join(texts))
    assert run(tmp_path / "x.txt", output=tmp_path / "out", arguments=()) == 0
    assert digest(tmp_path / "out") == DIGEST


def test_input_without_texts_is_an_error(tmp_path, capsys):
    output = tmp_path / "out"
    assert run(tmp_path / "nothing.txt", output=output) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/nothing.txt: no such file, and no file matches this pattern\n"
    )
    (tmp_path / "x.txt").write_text("plain\n")
    assert run(tmp_path / "x.txt", output=output) == 1
    assert "none of its 1 lines is a JSON object with text in 'body'" in capsys.readouterr().err
    assert not output.exists()


def test_a_tokenizer_is_replaced_only_with_overwrite(archive, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(archive, output=output, size=60) == 0
    before = digest(output)
    assert run("unread input", output=output) == 1
    assert capsys.readouterr().err == (
        f"error: {output}: holds a finished tokenizer; choose another --output "
        "or give --overwrite\n"
    )
    assert digest(output) == before
    assert run(archive, output=output, arguments=("--field", "body", "--overwrite")) == 0
    assert digest(output) == DIGEST


def test_a_tokenizer_is_kept_if_its_replacement_fails(archive, truncated, tmp_path):
    output = tmp_path / "out"
    assert run(archive, output=output) == 0
    assert run(truncated, output=output, arguments=("--field", "body", "--overwrite")) == 1
    assert digest(output) == DIGEST
    assert len(list(output.iterdir())) == len(vocab.TOKENIZER_FILES) + 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out"]


@pytest.mark.parametrize("foreign", ["model.safetensors", "subfolder/file"])
def test_a_folder_of_other_files_is_never_overwritten(archive, tmp_path, capsys, foreign):
    output = tmp_path / "out"
    assert run(archive, output=output) == 0
    capsys.readouterr()
    (output / foreign).parent.mkdir(exist_ok=True)
    (output / foreign).touch()
    assert run(archive, output=output, arguments=("--field", "body", "--overwrite")) == 1
    assert capsys.readouterr().err == (
        f"error: {output}: holds {foreign}, which is not a file of the tokenizer there, "
        "so nothing there is replaced; move it away or choose another --output\n"
    )
    assert run(archive, output=archive) == 1
    assert f"{archive}: is a file; --output names a folder" in capsys.readouterr().err


def test_a_tokenizer_that_this_program_did_not_write_is_never_overwritten(
    archive, tmp_path, capsys
):
    """A downloaded tokenizer has the same file names."""
    output = tmp_path / "out"
    assert run(archive, output=output) == 0
    (output / "COMPLETED").unlink()
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    assert run(archive, output=output, arguments=("--field", "body", "--overwrite")) == 1
    assert capsys.readouterr().err == (
        f"error: {output}: holds special_tokens_map.json and no finished tokenizer, so nothing "
        "there is replaced; choose another --output\n"
    )
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


@pytest.mark.parametrize("output", ["", ".", "..", "in", "~/tokenizer", "gs:/tokenizer"])
def test_an_output_that_holds_files_of_the_user_is_refused(
    archive, tmp_path, monkeypatch, capsys, output
):
    folder = tmp_path / "one" / "two" / "three"
    (folder / "in").mkdir(parents=True)
    archive.rename(folder / "in" / "RC_1.zst")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder / "in"))
    assert run("in/RC_1.zst", output=output, arguments=("--field", "body", "--overwrite")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(("error: --output", "error: in: holds RC_1.zst"))
    assert [str(path) for path in tmp_path.rglob("*") if path.is_file()] == [
        f"{folder}/in/RC_1.zst"
    ]
