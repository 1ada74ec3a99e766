"""Predicts the seconds of a batch from its tokens, and learns from each batch."""

from collections.abc import Sequence

# Share of the newest prediction error that is corrected.
_STEP = 0.25


class BatchCost:
    """Seconds of a batch: a fixed part and a part in proportion to its tokens.

    The two parts follow the measurements by normalized least mean squares (Widrow and
    Hoff, 1960), so a batch of one short text corrects mostly the fixed part and leaves
    the estimate for large batches as it is.
    """

    def __init__(self, full_tokens: int, measured: Sequence[tuple[int, float]] = ()):
        """Creates an estimate; without measurements a batch takes no time.

        Args:
            full_tokens: Tokens of a full batch.
            measured: Tokens and seconds of two batches, the smaller first, or nothing.
        """
        self._full_tokens = full_tokens
        self._fixed = 0.0
        self._full = 0.0  # seconds of a full batch, beside the fixed part
        if measured:
            (few, fast), (many, slow) = measured
            self._full = max(0.0, (slow - fast) / (many - few) * full_tokens)
            self._fixed = max(0.0, fast - self._full * few / full_tokens)

    def seconds(self, tokens: float) -> float:
        """Returns the seconds of as many batches as the tokens need, one after another."""
        batches = -(-tokens // self._full_tokens)
        return batches * self._fixed + tokens / self._full_tokens * self._full

    def observe(self, tokens: int, seconds: float) -> None:
        """Learns from one batch.

        A batch that took more than twice the predicted time counts as twice, so that one
        pause of the machine does not change the estimate much.
        """
        share = tokens / self._full_tokens
        predicted = self._fixed + share * self._full
        if not predicted:
            self._fixed = self._full = seconds / (1 + share)
            return
        error = min(seconds - predicted, predicted)
        step = _STEP * error / (1 + share * share)
        self._fixed = max(0.0, self._fixed + step)
        self._full = max(0.0, self._full + step * share)
