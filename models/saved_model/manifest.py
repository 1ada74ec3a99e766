"""`manifest.json` of an exported version: model, software versions, file hashes."""

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rejoinder.errors import UserError
from rejoinder.versions import installed_version

MANIFEST_FILE = "manifest.json"
# Tokens by id, for `/tokenize` of Text Embeddings Inference; TensorFlow Serving ignores it.
VOCABULARY_FILE = "assets.extra/vocabulary.json"
FORMAT_VERSION = 1
_PACKAGES = ("rejoinder", "tensorflow", "tensorflow-text", "tf-keras")


@dataclass(frozen=True)
class ExportManifest:
    """Description of a version, which a server reads before it loads the version.

    Attributes:
        name: Model name.
        dimension: Components of an embedding.
        max_length: Maximum number of tokens of a text, special tokens included.
        widths: Bucket widths in tokens, ascending.
        vocab_size: Ids are below this.
        pad_id: Id that fills rows.
        tokenizer: Fingerprint of the tokenizer.
        precision: `float32` or `bfloat16`, in which the encoder computes.
        parameters: Number of weights.
        source: Last component of the model's path.
        versions: Software that wrote the export.
        files: Path inside the folder → size in bytes and sha256.
        trained_dimensions: Fewer dimensions for which the model was trained, too
            (`task.loss.matryoshka_dims`), as far as is known.
        openvino: The OpenVINO model, if there is one: `precision` `float32` or `int8`; for int8
            also the 1-of-100 accuracy of both, in `one_of_100`, on so many `pairs`.
    """

    name: str
    dimension: int
    max_length: int
    widths: list[int]
    vocab_size: int
    pad_id: int
    tokenizer: str
    precision: str
    parameters: int
    source: str
    versions: dict[str, str]
    files: dict[str, dict[str, Any]]
    trained_dimensions: list[int] = field(default_factory=list)
    openvino: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def write(self, folder: Path) -> None:
        """Writes `manifest.json` into `folder`, keys sorted."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"
        (folder / MANIFEST_FILE).write_text(text)

    @classmethod
    def read(cls, folder: Path) -> "ExportManifest":
        """Reads the manifest of a published version.

        Raises:
            UserError: It is missing, broken or of another format version.
        """
        path = folder / MANIFEST_FILE
        try:
            return cls.parse(path.read_bytes(), str(path))
        except OSError as error:
            raise UserError(
                f"{path}: not a manifest ({error}); export the model with `rejoinder export`"
            ) from None

    @classmethod
    def parse(cls, data: bytes, path: str) -> "ExportManifest":
        """Parses the content of a manifest; `path` is its name in messages.

        Raises:
            UserError: It is broken or of another format version.
        """
        try:
            values = json.loads(data)
            if values.get("format_version") != FORMAT_VERSION:
                raise UserError(
                    f"{path}: format_version is {values.get('format_version')!r}, this release "
                    f"reads {FORMAT_VERSION}; export the model again"
                )
            return cls(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: not a manifest ({error}); export the model with `rejoinder export`"
            ) from None


def hash_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns path → {"bytes", "sha256"} of every file below `folder`, sorted by path."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files[path.relative_to(folder).as_posix()] = {
            "bytes": path.stat().st_size,
            "sha256": digest,
        }
    return files


def software_versions() -> dict[str, str]:
    """Returns the versions of the software on which an export depends."""
    # A source checkout need not be installed.
    found = {package: installed_version(package) or "source" for package in _PACKAGES}
    return {"python": platform.python_version()} | found
