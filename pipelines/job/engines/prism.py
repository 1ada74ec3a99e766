"""Prism's limit: it sends the whole input of a bundle in one message of at most 2 GiB."""

from collections.abc import Sequence

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import input_files
from rejoinder.pipelines.job.runners import RunnerChoice
from rejoinder.pipelines.job.steps.spec import JobSpec
from rejoinder.units import format_bytes

MESSAGE_BYTES = 2**31 - 1  # the largest message of gRPC
# Text below this is not sampled: rows are smaller than their lines.
_SURE_BYTES = 1 << 30
_SAMPLE_LINES = 20_000


def check_size(runner: RunnerChoice, files: Sequence[storage.FileEntry], spec: JobSpec) -> None:
    """Checks that the rows of all files fit into one message, by a sample of the largest file.

    Raises:
        UserError: They do not, by the estimate.
    """
    text = input_files.text_bytes(files)
    if runner.name != "PrismRunner" or text < _SURE_BYTES:
        return
    largest = max(files, key=lambda file: file.size)
    lines, read, rows = sample(largest.path, spec)
    if not read:
        return
    total = min(text, spec.limit * len(files) * read // lines) if spec.limit else text
    needed = total * rows // read
    if needed > MESSAGE_BYTES:
        raise UserError(
            f"--runner PrismRunner: about {format_bytes(needed)} of rows "
            f"({total * lines // read / 1e6:,.0f} million lines) would go through the shuffle, and "
            f"Prism takes at most {format_bytes(MESSAGE_BYTES)}; leave --runner out: "
            "this machine alone has no such limit, --workers sets its processes"
        )


def sample(path: str, spec: JobSpec) -> tuple[int, int, int]:
    """Returns (lines, bytes of text, bytes of rows) of the first 20,000 lines of a file."""
    from rejoinder.pipelines.dumps.chunks import FileSummary
    from rejoinder.pipelines.dumps.notes import ReadNotes

    lines = text = rows = 0
    notes, limit = ReadNotes(False), min(spec.limit or _SAMPLE_LINES, _SAMPLE_LINES)
    for chunk in spec.extractor.read_chunks(
        path, FileSummary(), checksum=False, keep_damaged=True, limit=limit
    ):
        frame, _, _ = spec.extractor.read(path, chunk, notes)
        lines += chunk.lines
        text += len(chunk.data)
        rows += sum(len(blob) for _, blob in spec.extractor.to_buckets(frame, 1))
    return lines, text, rows
