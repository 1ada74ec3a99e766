"""Texts with their ids and embeddings, and the tokenizer, beside an export's OpenVINO model.

With them a server of that model tokenizes, and checks its ids and embeddings, without the
SavedModel and so without TensorFlow.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import UserError
from rejoinder.models.tokenizer.hugging_face import HuggingFaceTokenizer, to_json
from rejoinder.models.tokenizer.spec import TokenizerSpec

# Of Hugging Face's form.
TOKENIZER_FILE = "assets.extra/openvino/tokenizer.json"
REFERENCE_FILE = "assets.extra/openvino/reference.json"
# Texts on which a server compares its embeddings with those in float32.
TEXTS = (
    b"Yes.",
    b"What do you think of it?",
    b"I have had the same problem, and a new battery fixed it.",
    b"na\xc3\xafve caf\xc3\xa9",
    b"the answer is in the manual " * 20,
)


@dataclass(frozen=True)
class Reference:
    """What the model gives for `TEXTS`.

    Attributes:
        tokenizers: `HuggingFaceTokenizer.digest` of the release that gives the model's ids.
        token_ids: Ids of each text.
        embeddings: float32 [texts, d], by the encoder in float32.
    """

    tokenizers: str
    token_ids: list[list[int]]
    embeddings: NDArray[np.float32]

    @classmethod
    def read(cls, folder: Path) -> "Reference":
        """Reads the reference of an export.

        Raises:
            UserError: The file is missing or broken.
        """
        path = folder / REFERENCE_FILE
        try:
            values = json.loads(path.read_bytes())
            values["embeddings"] = np.array(values["embeddings"], np.float32)
            return cls(**values)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}: cannot be read ({error}); export the model again") from None


def write_reference(
    folder: Path,
    spec: TokenizerSpec,
    *,
    max_length: int,
    token_ids: Sequence[NDArray[np.int32]],
    embeddings: NDArray[np.float32],
) -> None:
    """Writes the tokenizer and the reference into the folder of an export with OpenVINO.

    Args:
        folder: The export's folder.
        spec: Vocabulary and settings of the tokenizer.
        max_length: Maximum number of tokens of a text.
        token_ids: Ids of `TEXTS` by the tokenizer in the graph.
        embeddings: float32 [texts, d] of these ids by the encoder.

    Raises:
        UserError: Hugging Face's library gives other ids.
    """
    tokenizer_json = to_json(spec)
    tokenizer = HuggingFaceTokenizer(tokenizer_json, max_length)
    expected = [row.tolist() for row in token_ids]
    if [row.tolist() for row in tokenizer(TEXTS)[0]] != expected:
        raise UserError(
            f"{folder.parent}: the tokenizer for OpenVINO gives other ids than the model's; "
            "nothing was published; report this as a bug"
        )
    reference = {
        "tokenizers": tokenizer.digest(),
        "token_ids": expected,
        "embeddings": embeddings.tolist(),
    }
    (folder / TOKENIZER_FILE).write_text(tokenizer_json, encoding="utf-8")
    (folder / REFERENCE_FILE).write_text(json.dumps(reference) + "\n")
