"""Sizes of the encoder of a configuration, without its weights."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.model_dir import is_model_dir
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.trainer.config import ModelConfig
from rejoinder.trainer.data.corpora import Corpus
from rejoinder.trainer.initialization import check_sizes, chosen_dropout, existing_model


def find_sizes(model: ModelConfig, corpora: Sequence[Corpus]) -> tuple[MPNetConfig, list[str]]:
    """Returns the sizes of an encoder, and the assumptions behind them.

    Of a name on the Hugging Face hub only `config.json` is read; where that cannot be read,
    the sizes are those of mpnet-base.

    Args:
        model: The configuration of the encoder.
        corpora: The corpora to train on, if any; random weights take their vocabulary.

    Raises:
        UserError: The folder of the model cannot be read, or its sizes do not fit the
            configuration.
    """
    assumptions: list[str] = []
    if not model.init_from:
        sizes = _random(model, corpora)
        if not corpora:
            assumptions.append(
                f"a vocabulary of {sizes.vocab_size:,}, that of mpnet-base (no --corpus)"
            )
    elif _is_hub_name(model.init_from):
        try:
            sizes = _of_hub(model.init_from)
        except OSError as error:
            sizes = MPNetConfig()
            assumptions.append(
                f"the sizes of mpnet-base ({model.init_from} cannot be read from the Hugging "
                f"Face hub: {type(error).__name__})"
            )
        sizes = dataclasses.replace(sizes, **chosen_dropout(model))
    else:
        sizes = existing_model(model).config
    check_sizes(model, sizes, corpora)
    return sizes, assumptions


def _random(model: ModelConfig, corpora: Sequence[Corpus]) -> MPNetConfig:
    base = MPNetConfig()
    try:
        return dataclasses.replace(
            base,
            vocab_size=corpora[0].manifest.vocab_size if corpora else base.vocab_size,
            hidden_size=model.hidden_size,
            num_hidden_layers=model.num_hidden_layers,
            num_attention_heads=model.num_attention_heads,
            intermediate_size=model.intermediate_size,
            max_position_embeddings=max(
                model.max_length + base.pad_token_id + 1, base.max_position_embeddings
            ),
            **chosen_dropout(model),
        )
    except ValueError as error:
        raise UserError(f"task.model: {error}") from error


def _is_hub_name(name: str) -> bool:
    is_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    return (
        storage.is_local(name)
        and not is_path
        and not is_model_dir(name)
        and not Path(name).is_dir()
    )


def _of_hub(name: str) -> MPNetConfig:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.logging import set_verbosity_error

    set_verbosity_error()  # without network, it logs each of five attempts
    # Its errors are subclasses of OSError, for a missing network as for a missing model.
    return MPNetConfig.from_folder(Path(hf_hub_download(name, "config.json")).parent)
