"""Runs encoders in mteb, for `rejoinder evaluate --mteb` and from Python.

    from rejoinder import Encoder
    from rejoinder.evaluation.mteb_model import mteb_model

    model = mteb_model(Encoder.load("runs/reddit"), name="rejoinder/reddit")
    mteb.evaluate(model, mteb.get_tasks(tasks=["STSBenchmark"]))

mteb is part of the parity extra; nothing else needs it.
"""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rejoinder.errors import UserError
from rejoinder.evaluation.results import MtebResult

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
            by_kind = {"query": "encode_query", "document": "encode_document"}
            kind = getattr(options.get("prompt_type"), "value", "")
            return getattr(encoder, by_kind.get(kind, "encode"))(list(texts))

    return MtebEncoder()


def find_tasks(names: Sequence[str]) -> list[Any]:
    """Returns tasks of mteb by their names.

    Raises:
        UserError: mteb is not installed, or has no such task.
    """
    if not names:
        return []
    try:
        import mteb
    except ImportError:
        raise UserError("--mteb: mteb is not installed; run `make setup-parity`") from None
    tasks = []
    for name in names:
        try:
            tasks.append(mteb.get_task(name))
        except (KeyError, ValueError) as error:
            reason = " ".join(str(error.args[0] if error.args else error).split())
            raise UserError(f"--mteb {name}: mteb has no such task ({reason})") from None
    return tasks


def evaluate_tasks(name: str, encoder: "Encoder", tasks: Sequence[Any]) -> list[MtebResult]:
    """Returns the main scores of an encoder. mteb's own cache of results is not used.

    Args:
        name: Name of the model in tables.
        encoder: The model.
        tasks: Tasks of `find_tasks`; their data is downloaded if it is not there.

    Raises:
        UserError: A task cannot be loaded or run.
    """
    if not tasks:
        return []
    import mteb

    results = []
    for task in tasks:
        title = task.metadata.name
        try:
            done = mteb.evaluate(mteb_model(encoder), task, cache=None, show_progress_bar=False)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"--mteb {title}: cannot be run ({reason})") from None
        metric = task.metadata.main_score
        results += [
            MtebResult(name, title, metric, float(one.get_score())) for one in done.task_results
        ]
    return results
