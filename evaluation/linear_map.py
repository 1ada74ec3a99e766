"""A linear map of response embeddings, learned on frozen embeddings: PolyAI's MAP.

The method of `VectorMappingMethod` in PolyAI's baselines
(https://github.com/PolyAI-LDN/conversational-datasets, baselines/vector_based.py), which their
tables list as USE_MAP and others. The score of a pair of unit vectors is c · (a·r + W r), where
the matrix W and the scalar a are learned on training pairs with the softmax over in-batch
negatives (https://arxiv.org/abs/1705.00652), label smoothing and Adagrad. Rate and regularizer are
those of a grid that are best on a fifth of the pairs.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rejoinder.evaluation.ranking import in_batch_accuracy

# The values of the original.
RATES = (10.0, 3.0, 1.0, 0.3, 0.01)
REGULARIZERS = (0.0, 0.1, 0.01, 0.001)
_BATCH = 256
_EPOCHS = 100
_PATIENCE = 10  # epochs, the best one included
_DEVELOPMENT = 0.2
FEWEST_PAIRS = 500  # of which a fifth is a batch of 100
_SMOOTHING = 0.2
_ACCUMULATOR = 0.1  # initial value of Adagrad's sums

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class LinearMap:
    """The map of a response r (a row) to `residual * r + r @ weights`.

    Attributes:
        weights: float32 [d, d].
        residual: Factor of the response itself.
    """

    weights: Vectors
    residual: float

    def __call__(self, responses: Vectors) -> Vectors:
        """Returns the mapped responses, [n, d]; their length is not one."""
        mapped: Vectors = responses @ self.weights + np.float32(self.residual) * responses
        return mapped


@dataclass(frozen=True)
class MapChoice:
    """The best map of a grid search.

    Attributes:
        map: The map.
        rate: Its learning rate.
        regularizer: Its factor on half the sum of squared weights.
        epochs: Epochs after which it was taken.
        accuracy: Its 1-of-100 accuracy on the development pairs, in [0, 1].
        unmapped: That of the embeddings themselves.
    """

    map: LinearMap
    rate: float
    regularizer: float
    epochs: int
    accuracy: float
    unmapped: float


def learn_map(
    contexts: Vectors,
    responses: Vectors,
    *,
    rates: Sequence[float] = RATES,
    regularizers: Sequence[float] = REGULARIZERS,
    seed: int = 0,
) -> MapChoice:
    """Returns the map that is best on a fifth of the pairs.

    Args:
        contexts: Unit vectors, float32 [n, d]; n is at least `FEWEST_PAIRS`.
        responses: Unit vectors, float32 [n, d].
        rates: Learning rates of the grid.
        regularizers: Regularizers of the grid.
        seed: Seed of the development pairs, of the initial weights and of the order.

    Raises:
        ValueError: There are fewer pairs.
    """
    if len(contexts) < FEWEST_PAIRS:
        raise ValueError(f"must have at least {FEWEST_PAIRS} pairs, got {len(contexts)}")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(contexts))
    held_out = round(_DEVELOPMENT * len(order))
    development, train = order[:held_out], order[held_out:]
    dev = contexts[development], responses[development]
    unmapped = in_batch_accuracy(*dev)
    best: MapChoice | None = None
    for rate, regularizer in itertools.product(rates, regularizers):
        trainer = MapTrainer(orthogonal(contexts.shape[1], rng), rate, regularizer)
        found, since = -1.0, 0
        for epoch in range(1, _EPOCHS + 1):
            shuffled = rng.permutation(train)
            for start in range(0, len(shuffled), _BATCH):
                rows = shuffled[start : start + _BATCH]
                trainer.step(contexts[rows], responses[rows])
            accuracy = in_batch_accuracy(dev[0], trainer.map(dev[1]))
            if best is None or accuracy > best.accuracy:
                best = MapChoice(trainer.map, rate, regularizer, epoch, accuracy, unmapped)
            since = 0 if accuracy > found else since
            found = max(found, accuracy)
            since += 1
            if since >= _PATIENCE:
                break
    assert best is not None
    return best


class MapTrainer:
    """Adagrad on the loss of a batch.

    Attributes:
        map: The map after the latest step.

    Args:
        weights: Initial weights, float32 [d, d]; the residual starts at 1.
        rate: Learning rate.
        regularizer: Factor on half the sum of squared weights.
    """

    def __init__(self, weights: Vectors, rate: float, regularizer: float):
        self.map = LinearMap(weights, 1.0)
        self._rate, self._regularizer = np.float32(rate), np.float32(regularizer)
        self._sums = np.full_like(weights, _ACCUMULATOR)
        self._residual_sum = _ACCUMULATOR

    def step(self, contexts: Vectors, responses: Vectors) -> None:
        """Updates the map with a batch of unit vectors, float32 [n, d] each."""
        gradient, residual_gradient = gradients(self.map, contexts, responses)
        gradient += self._regularizer * self.map.weights
        self._sums += gradient * gradient
        self._residual_sum += residual_gradient**2
        step = self._rate * gradient / np.sqrt(self._sums)
        weights: Vectors = np.asarray(self.map.weights - step, np.float32)
        change = float(self._rate) * residual_gradient / self._residual_sum**0.5
        self.map = replace(self.map, weights=weights, residual=self.map.residual - change)


def gradients(now: LinearMap, contexts: Vectors, responses: Vectors) -> tuple[Vectors, float]:
    """Returns the gradient of the smoothed cross entropy by weights [d, d] and residual."""
    count = len(contexts)
    logits = contexts @ now(responses).T
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    difference = exponents / exponents.sum(axis=1, keepdims=True) - _SMOOTHING / count
    difference[np.diag_indices(count)] -= 1 - _SMOOTHING
    by_mapped = difference.T @ contexts / np.float32(count)
    return responses.T @ by_mapped, float(np.vdot(by_mapped, responses))


def orthogonal(size: int, rng: np.random.Generator) -> Vectors:
    """Returns a random orthogonal matrix, float32 [size, size]."""
    q, r = np.linalg.qr(rng.normal(size=(size, size)))
    matrix: Vectors = (q * np.sign(np.diag(r))).astype(np.float32)
    return matrix
