"""The content of a dump as JSON lines, whatever form it is stored in."""

from collections.abc import Iterator

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import foreign, json_array, zst_blocks
from rejoinder.pipelines.dumps.codecs import DamagedArchiveError, codec_of
from rejoinder.pipelines.dumps.decompress import Readable, read_blocks, read_stored

Blocks = Iterator[tuple[bytes, int]]


def read_content(path: str, file: Readable) -> Blocks:
    """Reads a file of JSON lines, a `.zst_blocks` file or a JSON array as JSON lines.

    Args:
        path: The file's name, for the codec and for messages.
        file: Its stored bytes, at position 0.

    Yields:
        (block, stored): Bytes of lines, and the number of stored bytes read so far.

    Raises:
        DamagedArchiveError: After all data before the damage has been yielded.
        UserError: The file cannot be read, or its content is neither JSON nor text.
    """
    head = read_stored(path, file, 0)
    source = _Rewound(head, file)
    read = zst_blocks.read_rows if zst_blocks.matches(head) else read_blocks
    beginning, blocks = _peek(read(path, source))
    if codec := codec_of(beginning):
        raise UserError(
            f"{path}: is compressed twice, its content is a {codec} file; decompress it once"
        )
    if what := foreign.describe(beginning):
        raise UserError(f"{path}: its content {what}")
    yield from json_array.read_elements(path, blocks) if json_array.matches(beginning) else blocks


class _Rewound:
    """A file whose first bytes have been read, from its beginning."""

    def __init__(self, head: bytes, file: Readable) -> None:
        self._head, self._file = head, file

    def read(self, size: int, /) -> bytes:
        if not self._head:
            return self._file.read(size)
        data, self._head = self._head[:size], self._head[size:]
        return data


def _peek(blocks: Blocks) -> tuple[bytes, Blocks]:
    """Returns the first bytes of the content, and all blocks."""
    beginning: list[tuple[bytes, int]] = []
    damage: DamagedArchiveError | None = None
    size = 0
    try:
        while size < foreign.HEAD_BYTES and (block := next(blocks, None)):
            beginning.append(block)
            size += len(block[0])
    except DamagedArchiveError as error:
        damage = error

    def all_blocks() -> Blocks:
        yield from beginning
        if damage:
            raise damage
        yield from blocks

    return b"".join(block for block, _ in beginning)[: foreign.HEAD_BYTES], all_blocks()
