"""Runs encoders in mteb: `mteb.evaluate(mteb_model(encoder), tasks)`.

    from rejoinder import Encoder
    from rejoinder.evaluation.mteb_model import mteb_model

    model = mteb_model(Encoder.load("runs/reddit"), name="rejoinder/reddit")
    mteb.evaluate(model, mteb.get_tasks(tasks=["STSBenchmark"]))

mteb is part of the parity extra; nothing else needs it.
"""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rejoinder.models.encoder import Encoder


def mteb_model(encoder: "Encoder", *, name: str = "rejoinder/encoder") -> Any:
    """Returns `encoder` as an mteb encoder.

    Args:
        encoder: A loaded model.
        name: `organisation/model`, the name under which mteb stores results.
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
            # The batches of mteb's DataLoader are joined, because the encoder batches by length.
            texts = itertools.chain.from_iterable(batch["text"] for batch in inputs)
            return encoder.encode(list(texts))

    return MtebEncoder()
