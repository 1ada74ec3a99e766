"""Runs signatures for REST, gRPC and OpenAI requests."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rejoinder.serving.engine.batcher import Batcher
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.engine.tokenizing import TokenizingStage, Tokens
from rejoinder.serving.errors import TooLong, invalid, too_many_items
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics
from rejoinder.serving.request_record import annotate

_TEXT_SIGNATURES = ("serving_default", "encode_context", "encode_response")


class Prediction(NamedTuple):
    """The result of a signature.

    Attributes:
        outputs: Every output of the signature, by name.
        truncated: bool [n], whether a text of row i was truncated; `score` has no such output.
    """

    outputs: dict[str, np.ndarray]
    truncated: NDArray[np.bool_]


class Predictor:
    """Tokenizes, batches and encodes; the results equal those of the SavedModel's signatures."""

    def __init__(self, limits: Limits, metrics: Metrics, *, workers: int):
        """Creates a predictor with `workers` encoding threads."""
        self._limits = limits
        self._batcher = Batcher(limits, metrics, workers=workers)
        self._tokenizing = TokenizingStage()

    async def predict(
        self,
        version: ModelVersion,
        signature: str,
        inputs: dict[str, np.ndarray],
        *,
        too_long: TooLong | None = None,
    ) -> Prediction:
        """Runs a signature on named inputs.

        Args:
            version: The model version.
            signature: One of the version's signatures.
            inputs: Every input of the signature; strings as object arrays of bytes.
            too_long: How texts with too many tokens are refused; None truncates them.

        Raises:
            ServingError: An input has the wrong shape or exceeds a limit, or the
                server is overloaded.
        """
        if signature in version.signature_defs:
            annotate(signature=signature, version=version.number)
        if signature in _TEXT_SIGNATURES:
            texts = _text_rows("text", inputs["text"])
            embeddings, tokens = await self.embed(version, texts, too_long=too_long)
            outputs = {"embedding": embeddings, **_token_outputs(tokens)}
            return Prediction(outputs, tokens.truncated)
        if signature == "encode_multi_context":
            return await self._with_turns(version, inputs, too_long)
        if signature == "tokenize":
            texts = _text_rows("text", inputs["text"])
            tokens = await self.tokenize(version, texts, too_long=too_long)
            ids = _pad(tokens.rows, version.manifest.pad_id)
            return Prediction({"token_ids": ids, **_token_outputs(tokens)}, tokens.truncated)
        if signature == "score":
            return await self._score(version, inputs, too_long)
        if signature == "encode_tokens":
            rows = _id_rows(inputs["token_ids"], version)
            embeddings = await self.embed_ids(version, rows)
            return Prediction({"embedding": embeddings}, np.zeros(len(rows), np.bool_))
        raise invalid(f'Serving signature name: "{signature}" not found in signature def')

    async def embed(
        self,
        version: ModelVersion,
        texts: Sequence[bytes],
        *,
        too_long: TooLong | None = None,
    ) -> tuple[NDArray[np.float32], Tokens]:
        """Embeds n texts in UTF-8; returns float32 [n, d] and their tokens."""
        self._check_items(len(texts))
        self._batcher.admit(version, len(texts))
        tokens = await self.tokenize(version, texts, too_long=too_long)
        return await self._batcher.encode(version, tokens.rows), tokens

    async def embed_ids(
        self, version: ModelVersion, rows: Sequence[NDArray[np.int32]]
    ) -> NDArray[np.float32]:
        """Embeds n rows of token ids; returns float32 [n, d].

        Raises:
            ServingError: A row is too long, an id is outside the vocabulary, or the
                server is overloaded.
        """
        self._check_items(len(rows))
        for row in rows:
            _check_ids(row, version)
        return await self._batcher.encode(version, rows)

    async def tokenize(
        self,
        version: ModelVersion,
        texts: Sequence[bytes],
        *,
        too_long: TooLong | None = None,
    ) -> Tokens:
        """Tokenizes n texts in UTF-8.

        Raises:
            ServingError: There are too many texts, a text has too many characters, or it has
                too many tokens and is not to be truncated.
        """
        self.check_texts(texts)
        tokens = await self._tokenizing.tokenize(version, texts)
        if too_long is not None and tokens.truncated.any():
            raise too_long.error(int(tokens.truncated.argmax()), version.manifest.max_length)
        return tokens

    def check_texts(self, texts: Sequence[bytes]) -> None:
        """Checks the number of texts and of their characters.

        Raises:
            ServingError: There are too many texts, or a text has too many characters.
        """
        self._check_items(len(texts))
        for index, text in enumerate(texts):
            # A text has at most as many code points as bytes; decode only if that is too many.
            limit = self._limits.max_characters
            if len(text) > limit and len(text.decode("utf-8", "replace")) > limit:
                raise invalid(f"text {index} is longer than {limit} characters")

    def close(self) -> None:
        """Waits for running work and ends the threads."""
        self._tokenizing.close()
        self._batcher.close()

    async def _with_turns(
        self, version: ModelVersion, inputs: dict[str, np.ndarray], too_long: TooLong | None
    ) -> Prediction:
        """Embeds contexts and their earlier turns, which are cut in any case."""
        texts = _text_rows("text", inputs["text"])
        turns = _text_rows("extra_contexts", inputs["extra_contexts"])
        if len(texts) != len(turns):
            raise invalid(
                f"text and extra_contexts must have as many rows; got {len(texts)} and {len(turns)}"
            )
        embeddings, tokens = await self.embed(version, texts, too_long=too_long)
        outputs = {"embedding": embeddings, **_token_outputs(tokens)}
        outputs = {name: values.copy() for name, values in outputs.items()}
        rows = [index for index, text in enumerate(turns) if text]
        if rows:
            earlier, cut = await self.embed(version, [turns[index] for index in rows])
            both = embeddings[rows] + earlier
            # As in the SavedModel, whose smallest squared length is this one.
            lengths = np.sqrt(np.maximum((both * both).sum(axis=-1, keepdims=True), 1e-12))
            outputs["embedding"][rows] = both / lengths
            for name, values in _token_outputs(cut).items():
                outputs[name][rows] += values
        return Prediction(outputs, outputs["truncated"])

    async def _score(
        self,
        version: ModelVersion,
        inputs: dict[str, np.ndarray],
        too_long: TooLong | None,
    ) -> Prediction:
        contexts = _text_rows("context", inputs["context"])
        responses = _text_rows("response", inputs["response"])
        count = len(contexts)
        if count != len(responses):
            raise invalid(
                f"context and response must have as many rows; got {count} and {len(responses)}"
            )
        self._check_items(2 * count)
        self._batcher.admit(version, 2 * count)
        tokens = await self.tokenize(version, contexts + responses)
        either = np.asarray(tokens.truncated, bool).reshape(2, count)
        truncated = either[0] | either[1]
        if too_long is not None and truncated.any():
            raise too_long.error(int(truncated.argmax()), version.manifest.max_length)
        embeddings = await self._batcher.encode(version, tokens.rows)
        products = embeddings[:count] * embeddings[count:]
        return Prediction({"score": np.asarray(products.sum(axis=-1))}, truncated)

    def _check_items(self, count: int) -> None:
        if count > self._limits.max_items:
            raise too_many_items(count, self._limits.max_items)


def _check_ids(row: NDArray[np.int32], version: ModelVersion) -> None:
    manifest = version.manifest
    if len(row) > manifest.max_length:
        raise invalid(f"token_ids must have at most {manifest.max_length} columns")
    if len(row) and not (row.min() >= 0 and row.max() < manifest.vocab_size):
        raise invalid(f"token ids must be at least 0 and below {manifest.vocab_size}")


def _text_rows(name: str, texts: np.ndarray) -> list[bytes]:
    if texts.ndim != 1:
        raise invalid(f'input "{name}" must be a list of strings; got a rank of {texts.ndim}')
    rows: list[bytes] = texts.tolist()
    return rows


def _id_rows(ids: np.ndarray, version: ModelVersion) -> list[NDArray[np.int32]]:
    """Returns the rows without the padding at their end; each batch adds its own padding."""
    if ids.ndim != 2:
        raise invalid(f'input "token_ids" must be rows of integers; got a rank of {ids.ndim}')
    if ids.shape[1] > version.manifest.max_length:
        raise invalid(f"token_ids must have at most {version.manifest.max_length} columns")
    # 1 more than the column of a real token, 0 elsewhere; rows may have no columns.
    places = (ids != version.manifest.pad_id) * np.arange(1, ids.shape[1] + 1)
    lengths = places.max(axis=1, initial=0)
    return [row[:length] for row, length in zip(ids, lengths, strict=True)]


def _token_outputs(tokens: Tokens) -> dict[str, np.ndarray]:
    lengths = np.array([len(row) for row in tokens.rows], np.int32)
    return {"num_tokens": lengths, "truncated": np.asarray(tokens.truncated, bool)}


def _pad(rows: list[NDArray[np.int32]], pad_id: int) -> NDArray[np.int32]:
    width = max(map(len, rows), default=0)
    padded = np.full([len(rows), width], pad_id, np.int32)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return padded
