"""`rejoinder preprocess --extend CORPUS`: the options of a run that adds months to a corpus.

They are those of the corpus: its manifest is the file of options, and only what concerns the
new input and the running of the job may be given.
"""

import argparse
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rejoinder import storage
from rejoinder.corpus import checksums
from rejoinder.corpus.manifest import Manifest, load_manifest
from rejoinder.corpus.naming import COMPLETED, MANIFEST
from rejoinder.errors import UserError
from rejoinder.output import resolve
from rejoinder.pipelines.growth.spec import GrowthSpec
from rejoinder.staging import restore

if TYPE_CHECKING:
    from rejoinder.pipelines.reddit.options import ExtractOptions

_FLAG = "--extend"
# Options that may be given beside --extend; all others are the corpus'.
_ALLOWED = frozenset(
    f"{_FLAG} --input --num-shards --on-truncated --max-bad-ratio --no-samples --workers "
    "--runner --dry-run --restart --quiet --hash-authors --help -h".split()
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --keep-months and --extend."""
    group = parser.add_argument_group("further months")
    group.add_argument(
        "--keep-months",
        type=int,
        default=0,
        metavar="N",
        help="keep the comments of the last N months in the corpus, so that later months can be "
        "added with --extend (default 0: none)",
    )
    group.add_argument(
        _FLAG,
        default="",
        metavar="CORPUS",
        help="add --input to this corpus, with its options; it needs --keep-months from its first "
        "run on",
    )


def expand(parser: argparse.ArgumentParser, argv: Sequence[str]) -> list[str]:
    """Returns a command line in which the options of the corpus follow --extend.

    Args:
        parser: With all options of the command.
        argv: The command line.

    Raises:
        UserError: There is no such corpus, it cannot be extended, or an option is given that
            is the corpus'.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument(_FLAG)
    corpus = finder.parse_known_args(argv)[0].extend
    if corpus is None:
        return list(argv)
    given = {argument.partition("=")[0] for argument in argv}
    if theirs := sorted(given & {*parser._option_string_actions} - _ALLOWED):
        raise UserError(f"{theirs[0]}: {_FLAG} uses the option of the corpus; leave it out")
    manifest = _load(corpus)
    options = storage.join(corpus, MANIFEST)
    added = ["--options", options, "--output", corpus, "--name", manifest.name, "--overwrite"]
    if "--num-shards" not in given:
        added += ["--num-shards", "0"]
    return [*argv, *added]


def _load(corpus: str) -> Manifest:
    if not corpus:
        raise UserError(f"{_FLAG}: is empty; give the folder of a corpus")
    restore(corpus)
    manifest = load_manifest(corpus)
    if not manifest.state:
        raise UserError(
            f"{corpus}: keeps no comments of its last months, so it cannot be extended; make it "
            "again from all months with `--keep-months 6`"
        )
    return manifest


def growth_spec(corpus: str, options: "ExtractOptions") -> GrowthSpec | None:
    """Returns what the job knows of a corpus that can grow, None for any other corpus.

    Args:
        corpus: The value of --extend.
        options: The options of the extraction.
    """
    if not corpus:
        return GrowthSpec(options.keep_months) if options.keep_months else None
    folder = resolve(corpus, flag=_FLAG)
    manifest = _load(folder)
    if options.hash_authors != (key := manifest.options.get("hash_authors", "")):
        made = "hashed with another key; give its file" if key else "not hashed; leave it out"
        raise UserError(f"--hash-authors: the authors of {corpus} are {made}")
    files = manifest.state["files"]
    return GrowthSpec(
        keep_months=manifest.state["keep_months"],
        corpus=folder,
        files=files,
        newest_month=manifest.state["newest_month"],
        checksum=checksums.sha256(storage.read_bytes(storage.join(folder, COMPLETED))),
    )


def check_inputs(corpus: str, files: Sequence[storage.FileEntry]) -> None:
    """Checks that no input was read into the corpus before.

    Its comments would all be duplicates, or, if they are no longer kept, make their pairs again.

    Args:
        corpus: The corpus folder.
        files: The input files.

    Raises:
        UserError: One was, by its size and sha256.
    """
    known = {(entry["bytes"], entry["sha256"]) for entry in load_manifest(corpus).inputs}
    sizes = {size for size, _ in known}
    for file in files:
        if file.size in sizes and (file.size, _sha256(file.path)) in known:
            raise UserError(f"--input {file.path}: is in {corpus} already; leave it out")


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with storage.open_read(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
