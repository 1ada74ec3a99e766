"""The corpus to forget comments in: what it must hold, and which of its files are concerned."""

from collections.abc import Iterator
from dataclasses import dataclass

from rejoinder import storage
from rejoinder.corpus import checksums, features, texts, thread_state
from rejoinder.corpus.contents import CORPUS
from rejoinder.corpus.manifest import Manifest, Shard, load_manifest
from rejoinder.corpus.naming import COMPLETED, SPLITS
from rejoinder.corpus.table_files import TableFiles
from rejoinder.errors import UserError
from rejoinder.output import check_output
from rejoinder.pipelines.forgetting.names import Names
from rejoinder.pipelines.reddit.authors import FLAG as FLAG_KEY
from rejoinder.pipelines.reddit.authors import fingerprint, read_key
from rejoinder.staging import restore

FLAG = "CORPUS"


@dataclass(frozen=True)
class OldCorpus:
    """A corpus that names the comments of its pairs.

    Attributes:
        folder: Its resolved folder.
        manifest: Its manifest.
        digests: The sha256 of each of its files by name.
        text_features: Names of the text features.
        tables: The files for other programs; None if there are none.
    """

    folder: str
    manifest: Manifest
    digests: dict[str, str]
    text_features: list[str]
    tables: TableFiles | None

    @property
    def extra_contexts(self) -> int:
        """Further contexts of a pair, at most."""
        return int(self.manifest.options.get("extra_contexts", 0))

    def shards(self) -> Iterator[tuple[str, int, Shard]]:
        """Yields the split, the number and the entry of each shard with pairs."""
        for split, shards in self.manifest.splits.items():
            for number, shard in enumerate(shards):
                if shard.examples:
                    yield split, number, shard

    def path(self, name: str) -> str:
        """Returns the path of a file."""
        return storage.join(self.folder, name)

    def read_digests(self) -> dict[str, str]:
        """Returns the sha256 of each file by name as it is listed now."""
        return _digests(self.folder)

    def state_files(self) -> list[str]:
        """Returns the names of the files of the thread state, none if it keeps none."""
        count = self.manifest.state.get("files", 0)
        return [thread_state.file_name(index, count) for index in range(count)]


def open_corpus(
    folder: str, names: Names, key: str | None, inputs: list[tuple[str, str]]
) -> OldCorpus:
    """Opens a corpus, and checks that every comment in it can be found and removed.

    Args:
        folder: Its folder as the user wrote it.
        names: What to forget.
        key: File of `--hash-authors`, if it is given.
        inputs: (flag, path) of the files that the command reads.

    Raises:
        UserError: It cannot be changed here, or does not name its comments.
    """
    if not storage.is_local(folder):
        raise UserError(f"{folder}: forget needs a corpus on a local disk; copy it, and back again")
    restore(folder)
    manifest = load_manifest(folder.rstrip("/") or "/")
    path = check_output(folder, CORPUS, overwrite=True, inputs=inputs, flag=FLAG)
    if "mine" in manifest.options:
        raise UserError(
            f"{folder}: its hard negatives (rejoinder mine) do not name the comments they are "
            "from; forget in the corpus it was mined from, and mine again"
        )
    _check_key(folder, manifest, names, key)
    for split in SPLITS:
        texts.require_text(path, split)
    found = texts.text_features(path)
    if not {features.CONTEXT_ID, features.RESPONSE_ID} <= {*found}:
        raise UserError(
            f"{folder}: its pairs have no ids of comments, so they cannot be found; make it again "
            "from an input without them"
        )
    if manifest.options.get("extra_contexts") and features.extra_context_id(0) not in found:
        raise UserError(
            f"{folder}: its further contexts have no ids, as those of earlier releases; make it "
            "again with this release"
        )
    table_format = manifest.options.get("format")
    return OldCorpus(
        path,
        manifest,
        _digests(path),
        found,
        TableFiles.of(table_format, found) if table_format else None,
    )


def _digests(folder: str) -> dict[str, str]:
    return checksums.from_text(storage.read_bytes(storage.join(folder, COMPLETED)).decode())


def _check_key(folder: str, manifest: Manifest, names: Names, key: str | None) -> None:
    """Checks that the names of authors are compared with what the corpus has in their place."""
    expected = manifest.options.get("hash_authors", "")
    if key and not expected:
        raise UserError(f"{FLAG_KEY}: the authors of {folder} are not hashed; leave it out")
    if names.authors and expected:
        if not key:
            raise UserError(
                f"--authors: the authors of {folder} are hashed; give {FLAG_KEY} with the file "
                "that it was made with"
            )
        if fingerprint(read_key(key)) != expected:
            raise UserError(
                f"{FLAG_KEY} {key}: the authors of {folder} are hashed with another key; give its "
                "file"
            )
