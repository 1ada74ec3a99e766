"""`--hash-authors` leaves no name of an author in the output, and nothing of the key."""

import base64
import hashlib
import pickle
from pathlib import Path

import polars as pl
import pytest

from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.pipelines import preprocess as command
from rejoinder.pipelines.job.runners import RunnerChoice
from rejoinder.pipelines.reddit import authors
from rejoinder.pipelines.reddit.extractor import RedditComments
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.testing import comment, ndjson

KEY = bytes(range(200, 232))
NAMES = [f"Wanderer_{n}" for n in range(5)]


@pytest.fixture
def key(tmp_path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    return path


def lines(first: int, author=None) -> list:
    """Returns a chain of replies by `NAMES`, and what else may show a name."""
    chain = [
        comment(n, f"c{n - 1}" if n else None, author=author or NAMES[n % 4])
        for n in range(first, first + 8)
    ]
    chain[2]["subreddit"] = f"u_{author or NAMES[4]}"
    bad = b'{"author":"' + (author or NAMES[0]).encode() + b'","id":"zz' + b"%d" % first
    bot = comment(first + 20, f"c{first}", author="AutoModerator")
    short = comment(first + 21, f"c{first}", body="short", author=author or NAMES[1])
    nobody = comment(first + 22, f"c{first}", author="[deleted]")
    return [*chain, bad, bot, short, nobody]


def stored(folder: Path) -> bytes:
    """Returns the bytes of all files of a corpus, the Parquet files of its state decoded."""
    found = b""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            state = path.suffix == ".parquet"
            found += repr(pl.read_parquet(path).rows()).encode() if state else path.read_bytes()
    return found


ARGUMENTS = ["--keep-months", "6", "--drop-bots", "--max-bad-ratio", "1", "--num-shards", "1"]


def test_no_file_has_a_name_or_the_key_also_after_an_extension(tmp_path, preprocess, key):
    (tmp_path / "RC_1").write_bytes(ndjson(lines(0)))
    (tmp_path / "RC_2").write_bytes(ndjson(lines(8)))
    names = [*NAMES, "AutoModerator"]
    plain = preprocess(tmp_path / "RC_1", output="plain", arguments=ARGUMENTS)
    found = {name for name in names if name.encode() in stored(plain)}
    assert found == {*names} - {"AutoModerator"}
    extend = ["--input", str(tmp_path / "RC_2"), "--quiet", "--max-bad-ratio", "1", "--extend"]
    with pytest.raises(UserError, match="are not hashed; leave it out"):
        command.main([*extend, str(plain), "--hash-authors", str(key)])

    hashed = [*ARGUMENTS, "--format", "jsonl", "--hash-authors", str(key)]
    folder = preprocess(tmp_path / "RC_1", arguments=hashed)
    extend += [str(folder)]
    with pytest.raises(UserError, match=r"made with --hash-authors, .*the same file again"):
        command.main(extend)
    (tmp_path / "other").write_bytes(KEY[::-1])
    with pytest.raises(UserError, match="are hashed with another key; give its file"):
        command.main([*extend, "--hash-authors", str(tmp_path / "other")])
    command.main([*extend, "--hash-authors", str(key)])

    content = stored(folder)
    assert not [name for name in names if name.encode() in content]
    secrets = (KEY, KEY[:16], base64.b64encode(KEY)[:-2], hashlib.sha256(KEY).digest())
    assert not [s for s in secrets if s in content or s.hex().encode() in content]
    found = {
        e[f"{side}_author"]: e[f"{side}_id"]
        for split in ("train", "test")
        for e in reading.read_examples(str(folder), split)
        for side in ("context", "response")
    }
    assert {*found} == {authors.hash_name(name, KEY) for name in NAMES[:4]} | {"[deleted]"}
    manifest = load_manifest(str(folder))
    assert manifest.counters["filtered/bot"] == 2
    assert manifest.options["hash_authors"] == authors.fingerprint(KEY)
    assert f"u_{authors.hash_name(NAMES[4], KEY)}".encode() in content
    rejects = pl.read_ndjson(folder / "rejects" / "rejects.ndjson")
    assert rejects.get_column("excerpt").to_list() == ["", ""]
    assert rejects.get_column("line").to_list() == [9, 9]


def test_a_manifest_as_options_asks_for_the_file_again(tmp_path, preprocess, key):
    (tmp_path / "RC_1").write_bytes(ndjson(lines(0)[:8]))
    (tmp_path / "options.yaml").write_text(f"hash_authors: {key}\nnum_shards: 1\n")
    options = ["--options", str(tmp_path / "options.yaml")]
    folder = preprocess(tmp_path / "RC_1", output="one", arguments=options)
    argv = ["--options", str(folder / "manifest.json"), "--output", str(tmp_path / "two")]
    argv += ["--name", "one", "--quiet"]
    with pytest.raises(UserError, match=r"manifest.json: .* give --hash-authors with the same"):
        command.main(argv)
    command.main([*argv, f"--hash-authors={key}"])
    written = [(tmp_path / name / "COMPLETED").read_text() for name in ("one", "two")]
    assert written[0] == written[1]


def test_the_hash_is_hmac_sha256_cut_to_128_bits():
    expected = (
        "37b0ccc2e48226e087dc5b9bf12a62ca"  # openssl dgst -sha256 -mac HMAC -macopt hexkey:c8c9…e7
    )
    assert authors.hash_name("Wanderer_0", KEY) == expected
    assert authors.hash_name("wanderer_0", KEY) != expected
    assert authors.hash_name("Wanderer_0", KEY + b"\n") != expected
    assert authors.fingerprint(KEY) != authors.fingerprint(KEY[:-1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"key: does not exist; make it with `head -c 32 /dev/urandom`"),
        (b"x" * 15, r"key: has 15 bytes, a key has 16 to 65,536"),
        (b"x" * 65_537, r"key: has 65,537 bytes, a key has 16 to 65,536"),
        (b"", r"key: has 0 bytes"),
        ("folder", r"key: is a folder; name a file"),
    ],
)
def test_an_unusable_key_is_an_error_before_anything_is_written(tmp_path, content, message):
    path = tmp_path / "key"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    before = sorted(tmp_path.iterdir())
    argv = ["--input", "RC_1", "--output", str(tmp_path / "out"), "--hash-authors", str(path)]
    with pytest.raises(UserError, match=message):
        command.main(argv)
    assert sorted(tmp_path.iterdir()) == before


def test_an_empty_name_of_the_file_is_an_error():
    with pytest.raises(UserError, match="--hash-authors: is empty"):
        command.main(["--input", "RC_1", "--output", "out", "--hash-authors="])


def test_a_key_of_16_bytes_is_enough_and_the_job_does_not_hold_it(key):
    key.write_bytes(KEY[:16])
    options = ExtractOptions(hash_authors=authors.fingerprint(authors.read_key(str(key))))
    job = pickle.dumps(RedditComments(options, str(key)))
    assert KEY[:8] not in job
    assert options.hash_authors.encode() in job


def test_a_key_that_changes_during_the_run_is_an_error(key):
    authors.key_of.cache_clear()
    with pytest.raises(UserError, match=r"key: was changed during the run"):
        authors.key_of(str(key), authors.fingerprint(KEY[::-1]))


def test_a_key_that_the_workers_cannot_read_or_the_run_would_delete_is_refused(tmp_path, key):
    argv = ["--input", "RC_1", "--hash-authors", str(key)]
    parser = command.build_parser()
    parsed = parser.parse_args([*argv, "--output", "gs://bucket/out"])
    with pytest.raises(UserError, match=r"--hash-authors .*key: is on a disk of this machine"):
        command._check_key_file(parsed, RunnerChoice("DataflowRunner", 1, ()))
    parsed = parser.parse_args([*argv, "--output", str(tmp_path)])
    with pytest.raises(UserError, match=r"contains --hash-authors .*key"):
        command._check_key_file(parsed, RunnerChoice("FnApiRunner", 1, ()))
