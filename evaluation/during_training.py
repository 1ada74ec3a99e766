"""The scores that a training run computes with each validation (`task.evaluation`)."""

import re
from collections.abc import Sequence

from rejoinder.errors import UserError
from rejoinder.evaluation.metrics import paired_cosine, spearman
from rejoinder.evaluation.pairs import load_pairs
from rejoinder.evaluation.ranking import CANDIDATES, in_batch_accuracy
from rejoinder.evaluation.sentence_pairs import ScoredPairs, read_scored_pairs
from rejoinder.evaluation.sts import Encode

ONE_OF_100 = f"one_of_{CANDIDATES}"
_UNUSUAL = re.compile(r"[^\w.-]+", re.ASCII)


class TrainingEvaluation:
    """1-of-100 on a corpus and Spearman's correlation on files of scored sentence pairs.

    The figures are those of `rejoinder evaluate --batches BATCHES` on the same data.

    Attributes:
        names: `one_of_100`, and `sts_` with the name of each file.

    Args:
        sts: Files of scored sentence pairs.
        corpus: Corpus folder; empty for none.
        batches: Maximum number of batches of 100 pairs of its test split.

    Raises:
        UserError: A file cannot be read, two have the same name, or the corpus has fewer
            than 100 test pairs.
    """

    def __init__(self, sts: Sequence[str], corpus: str, batches: int):
        self._scored: dict[str, ScoredPairs] = {}
        for path in sts:
            scored = read_scored_pairs(path)
            name = f"sts_{_UNUSUAL.sub('_', scored.name)}"
            if name in self._scored:
                raise UserError(
                    f"task.evaluation.sts: two files give the metric {name}; rename one"
                )
            self._scored[name] = scored
        self._pairs = None
        if corpus:
            self._pairs = load_pairs(corpus, limit=batches * CANDIDATES)
            if len(self._pairs) < CANDIDATES:
                raise UserError(
                    f"{corpus}: the test split holds {len(self._pairs)} pairs; "
                    f"task.evaluation.corpus needs at least {CANDIDATES}"
                )
        self.names = [*([ONE_OF_100] if corpus else []), *self._scored]

    def __call__(self, encode: Encode) -> dict[str, float]:
        """Returns each score by its name, in [-1, 1].

        Args:
            encode: Function from texts to embeddings of unit length, float32 [n, dimension].
        """
        scores = {}
        if self._pairs is not None:
            scores[ONE_OF_100] = in_batch_accuracy(
                encode(self._pairs.contexts), encode(self._pairs.responses)
            )
        for name, scored in self._scored.items():
            cosine = paired_cosine(encode(scored.first), encode(scored.second))
            scores[name] = float(spearman(cosine, scored.scores))
        return scores
