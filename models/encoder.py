"""Embeds texts with a trained model.

from rejoinder import Encoder

encoder = Encoder.load("sentence-transformers/all-mpnet-base-v2")
embeddings = encoder.encode(["This is an example sentence", "Each sentence is converted"])
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.models.device import device_name
from rejoinder.models.embedders import Embedder, KerasEmbedder, SavedModelEmbedder
from rejoinder.models.folder_settings import FolderSettings
from rejoinder.models.loading import LoadedModel, load_model
from rejoinder.models.model_dir import is_model_dir
from rejoinder.models.saved_model.publish import find_saved_model
from rejoinder.models.similarity import (
    pairwise_similarity,
    scale_to_unit_length,
    similarity_matrix,
)

# Texts read ahead and sorted by length, so that the texts of a step are about
# equally long and need little padding.
WINDOW = 4096
PRECISIONS = ("float32", "bfloat16")


class Encoder:
    """Embeds texts with a trained model.

    The methods and their options are named as in sentence-transformers. Results are NumPy
    arrays, and TensorFlow's tensors where a tensor is asked for.

    Attributes:
        prompts: Texts put before a text, by name.
        default_prompt_name: The prompt of a text for which none is named, or None.
        truncate_dim: Number of components that are kept by default, or None for all.
        similarity_fn_name: `cosine`, `dot`, `euclidean` or `manhattan`.
    """

    def __init__(self, embedder: "Embedder", settings: FolderSettings):
        """Wraps an embedder with the settings of its model folder."""
        self._embedder = embedder
        self._settings = settings
        self.prompts = dict(settings.prompts)
        self.default_prompt_name = settings.default_prompt_name
        self.truncate_dim = settings.truncate_dim
        self.similarity_fn_name = settings.similarity

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        checkpoint: str | None = None,
        max_length: int | None = None,
        precision: str = "float32",
    ) -> "Encoder":
        """Loads a model.

        Args:
            path: Sentence-transformers or Hugging Face folder, hub name, folder of
                a training run, SavedModel, or folder of SavedModel versions, of which
                the newest is loaded.
            checkpoint: Checkpoint of a training run; the latest by default.
            max_length: Tokens after which a text is cut; the model's own by default.
            precision: `float32`, or `bfloat16` for about twice the speed where the
                processor has bfloat16 instructions, with cosine above 0.999 to float32.

        Raises:
            UserError: There is no such model, or an option does not apply to it.
        """
        if precision not in PRECISIONS:
            raise UserError(f"precision: must be float32 or bfloat16, got {precision}")
        saved_model = None if is_model_dir(path) else find_saved_model(path)
        if saved_model:
            if checkpoint or max_length or precision != "float32":
                raise UserError(
                    f"{path}: is a SavedModel, whose checkpoint, max_length and precision were"
                    " fixed when it was exported"
                )
            return cls(SavedModelEmbedder(saved_model), FolderSettings(Path(saved_model)))
        loaded = load_model(path, checkpoint=checkpoint)
        if precision != "float32":
            loaded = dataclasses.replace(loaded, encoder=loaded.encoder.stored_as(precision))
        return cls.from_loaded(loaded, max_length=max_length)

    @classmethod
    def from_loaded(cls, loaded: LoadedModel, *, max_length: int | None = None) -> "Encoder":
        """Makes an encoder of a loaded model.

        Args:
            loaded: The model.
            max_length: Tokens after which a text is cut; the model's own by default.

        Raises:
            UserError: `max_length` is out of range.
        """
        return cls(KerasEmbedder(loaded, max_length or loaded.max_length), loaded.settings)

    @property
    def device(self) -> str:
        """Name of the device that computes: the first GPU that TensorFlow can use, or the CPU."""
        return device_name()

    @property
    def dimension(self) -> int:
        """Components of an embedding."""
        return min(self.truncate_dim or self._embedder.dimension, self._embedder.dimension)

    def get_sentence_embedding_dimension(self) -> int:
        """Returns the number of components of an embedding."""
        return self.dimension

    @property
    def max_seq_length(self) -> int:
        """Tokens after which a text is cut, the two special tokens included."""
        return self._embedder.max_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self._embedder.max_length = value

    def encode(
        self,
        texts: str | Iterable[str],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
    ) -> Any:
        """Embeds texts.

        Args:
            texts: One text, or any iterable of texts.
            prompt: Text put before each text.
            prompt_name: Name of the prompt, one of `prompts`, if `prompt` is not given; by
                default `default_prompt_name`.
            batch_size: Maximum number of texts in a step; by default chosen from their lengths.
            show_progress_bar: Whether to show progress on standard error.
            normalize_embeddings: Whether to scale embeddings to unit length, after they are
                truncated. Those of most models have unit length before.
            truncate_dim: Number of components to keep; by default that of the model.
            convert_to_numpy: Whether to return one array; otherwise a list of tensors.
            convert_to_tensor: Whether to return one tensor, which comes first.

        Returns:
            float32 [n, dimension] in the order of `texts`; [dimension] for a single string.
            An array, a tensor or a list of tensors [dimension].

        Raises:
            TypeError: A text is not a string, or `texts` is a mapping, a set or a data frame.
            ValueError: An option is out of range, or there is no such prompt.
        """
        single = isinstance(texts, str)
        blocks = self.stream(
            [texts] if isinstance(texts, str) else texts,
            prompt=prompt,
            prompt_name=prompt_name,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
        )
        parts = list(blocks)
        empty = np.zeros([0, truncate_dim or self.dimension], np.float32)
        embeddings = np.concatenate(parts) if parts else empty
        if single:
            embeddings = embeddings[0]
        if convert_to_tensor or (single and not convert_to_numpy):
            return tf.constant(embeddings)
        return embeddings if convert_to_numpy else list(tf.constant(embeddings))

    def encode_query(self, texts: str | Iterable[str], **options: Any) -> Any:
        """Embeds texts that search, with the prompt `query` unless one is given.

        Args:
            texts: As in `encode`.
            **options: As in `encode`.
        """
        return self.encode(texts, **self._with_prompt(options, "query"))

    def encode_document(self, texts: str | Iterable[str], **options: Any) -> Any:
        """Embeds texts that are found, with the prompt `document` unless one is given.

        Args:
            texts: As in `encode`.
            **options: As in `encode`; the prompts `passage` and `corpus` are other names of
                `document`.
        """
        return self.encode(texts, **self._with_prompt(options, "document", "passage", "corpus"))

    def encode_context(
        self,
        texts: str | Sequence[str],
        *,
        extra_contexts: Sequence[str] | Sequence[Sequence[str]] | None = None,
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
    ) -> np.ndarray:
        """Embeds contexts, with the earlier turns of the conversation where there are any.

        The embedding is the mean of that of the context and that of its earlier turns as one
        text, scaled to unit length, as a model is trained with `task.loss.extra_contexts`
        (ConveRT, https://arxiv.org/abs/1911.03688, section 2.2).

        Args:
            texts: The last turn of one conversation, or of several.
            extra_contexts: The earlier turns, nearest first: of one conversation a sequence of
                texts, of several one sequence for each, which may be empty.
            batch_size: As in `encode`.
            normalize_embeddings: As in `encode`.
            truncate_dim: As in `encode`.

        Returns:
            float32 [n, dimension]; [dimension] for a single string.

        Raises:
            TypeError: As in `encode`.
            ValueError: As in `encode`, or there are not as many conversations as texts.
        """
        single = isinstance(texts, str)
        last = [texts] if isinstance(texts, str) else list(texts)
        turns: list[Any] = [[]] * len(last) if extra_contexts is None else list(extra_contexts)
        turns = [turns] if single and extra_contexts is not None else turns
        if len(turns) != len(last):
            raise ValueError(
                f"extra_contexts must have as many sequences as texts, {len(last)}; "
                f"got {len(turns)}"
            )
        if any(isinstance(one, str) for one in turns):
            raise TypeError(
                "extra_contexts must be a sequence of texts for each text, got a string"
            )
        most = self._embedder.dimension
        embeddings = self.encode(last, batch_size=batch_size, truncate_dim=most)
        with_turns = [index for index, one in enumerate(turns) if len(one)]
        if with_turns:
            # Spaces between them: the tokenizer splits there, so these are the tokens of each.
            joined = [" ".join(turns[index]) for index in with_turns]
            earlier = self.encode(joined, batch_size=batch_size, truncate_dim=most)
            both = scale_to_unit_length(embeddings[with_turns]) + scale_to_unit_length(earlier)
            embeddings[with_turns] = scale_to_unit_length(both)
        embeddings = embeddings[:, : truncate_dim or self.dimension]
        if normalize_embeddings:
            embeddings = scale_to_unit_length(embeddings)
        return embeddings[0] if single else embeddings

    def stream(
        self,
        texts: Iterable[str],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Embeds texts block by block, in memory that does not grow with their number.

        Args:
            texts: Any iterable of texts; it may be endless.
            prompt: As in `encode`.
            prompt_name: As in `encode`.
            batch_size: As in `encode`.
            show_progress_bar: As in `encode`.
            normalize_embeddings: As in `encode`.
            truncate_dim: As in `encode`.

        Yields:
            float32 [up to 4096, dimension] in the order of `texts`.

        Raises:
            TypeError: As in `encode`.
            ValueError: As in `encode`.
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        most = self._embedder.dimension
        if truncate_dim is not None and not 1 <= truncate_dim <= most:
            raise ValueError(f"truncate_dim must be between 1 and {most}, got {truncate_dim}")
        check_iterable_of_texts(texts)
        keep = truncate_dim or self.dimension
        before = self._prompt(prompt, prompt_name)
        total = len(texts) if isinstance(texts, Sized) else None
        iterator = iter(texts)
        with _progress(total, show_progress_bar) as advance:
            while window := list(itertools.islice(iterator, WINDOW)):
                for text in window:
                    if not isinstance(text, str):
                        raise TypeError(f"texts must be strings, got {type(text).__name__}")
                if before:
                    window = [before + text for text in window]
                embeddings = self._embedder(window, batch_size)[:, :keep]
                yield scale_to_unit_length(embeddings) if normalize_embeddings else embeddings
                advance.update(len(window))

    def similarity(self, first: Any, second: Any) -> np.ndarray:
        """Compares all embeddings with all.

        Args:
            first: float [n, dimension] or [dimension].
            second: float [m, dimension] or [dimension].

        Returns:
            float32 [n, m], by `similarity_fn_name`; distances are negative, so that higher
            always means more alike.
        """
        return similarity_matrix(first, second, self.similarity_fn_name)

    def similarity_pairwise(self, first: Any, second: Any) -> np.ndarray:
        """Compares each embedding with the one in the same row.

        Args:
            first: float [n, dimension] or [dimension].
            second: float [n, dimension] or [dimension].

        Returns:
            float32 [n], as in `similarity`.
        """
        return pairwise_similarity(first, second, self.similarity_fn_name)

    def tokenize(self, texts: str | Iterable[str]) -> dict[str, np.ndarray]:
        """Returns token ids.

        Args:
            texts: One text or several.

        Returns:
            `input_ids` int32 [n, longest], filled with the padding id, and `attention_mask`
            int32 [n, longest], 1 for real tokens.

        Raises:
            TypeError: As in `encode`.
        """
        check_iterable_of_texts(texts)
        ids, lengths = self._embedder.tokenize([texts] if isinstance(texts, str) else list(texts))
        mask = np.arange(ids.shape[1]) < lengths[:, None]
        return {"input_ids": ids, "attention_mask": mask.astype(np.int32)}

    def save_pretrained(self, path: str | Path) -> None:
        """Writes a sentence-transformers folder.

        Args:
            path: Local folder; created if missing.

        Raises:
            UserError: The model is a SavedModel, or was loaded in bfloat16.
        """
        settings = dataclasses.replace(
            self._settings,
            prompts=self.prompts,
            default_prompt_name=self.default_prompt_name,
            truncate_dim=self.truncate_dim,
            similarity=self.similarity_fn_name,
        )
        self._embedder.save(path, settings)

    def _prompt(self, prompt: str | None, name: str | None) -> str:
        """Returns the text put before each text, empty for none."""
        if prompt is not None:
            return prompt
        name = name if name is not None else self.default_prompt_name
        if name is None:
            return ""
        if name not in self.prompts:
            raise ValueError(f"prompt_name must be one of {sorted(self.prompts)}, got {name!r}")
        return self.prompts[name]

    def _with_prompt(self, options: dict[str, Any], *names: str) -> dict[str, Any]:
        if options.get("prompt") is None and options.get("prompt_name") is None:
            # An empty prompt is a prompt: it replaces the default one, as in
            # sentence-transformers.
            options["prompt_name"] = next(name for name in names if name in self.prompts)
        return options


def check_iterable_of_texts(texts: Any) -> None:
    """Raises TypeError for a collection whose iteration does not give its texts in order."""
    if isinstance(texts, Mapping | set | frozenset | bytes) or hasattr(texts, "columns"):
        raise TypeError(
            f"texts must be a string or an iterable of strings, got {type(texts).__name__}; "
            "give a list or a column"
        )


def _progress(total: int | None, show: bool):
    """Returns a progress bar in texts."""
    from tqdm import tqdm

    return tqdm(total=total, disable=not show, unit=" texts", unit_scale=True)
