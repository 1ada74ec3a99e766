"""Runs our encoders in mteb: `mteb.evaluate(mteb_model(encoder), tasks)`.

from models import Encoder
from rejoinder.evaluation.mteb_model import mteb_model

model = mteb_model(Encoder.load("runs/reddit"), name="rejoinder/reddit")
mteb.evaluate(model, mteb.get_tasks(tasks=["STSBenchmark"]))

mteb is part of the parity extra, not needed by anything else.
"""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rejoinder.models.encoder import Encoder


def mteb_model(encoder: "Encoder", *, name: str = "rejoinder/encoder") -> Any:
    """Returns `encoder` as one of mteb's encoders.

    Args:
        encoder: A loaded model.
        name: `organisation/model`, under which mteb files its results.
    """
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction

    class MtebEncoder(AbsEncoder):
        def __init__(self) -> None:
            self.model = encoder
            self.mteb_model_meta = ModelMeta.create_empty(
                {
                    "name": name,
                    "embed_dim": encoder.dimension,
                    "framework": ["TensorFlow"],
                    "similarity_fn_name": ScoringFunction.COSINE,
                    "use_instructions": False,
                }
            )

        def encode(self, inputs: Any, **options: Any) -> np.ndarray:
            # Batches of mteb's DataLoader are joined again: the encoder batches by length.
            texts = itertools.chain.from_iterable(batch["text"] for batch in inputs)
            return encoder.encode(list(texts))

    return MtebEncoder()
