"""Which library computes the embeddings of all models, and in which precision."""

from dataclasses import dataclass

from rejoinder.hardware import find_hardware, has_bfloat16

ENGINES = ("tensorflow", "openvino")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class EngineOptions:
    """Options of the engine.

    Attributes:
        engine: One of `ENGINES`.
        precision: One of `PRECISIONS`.
        threads: Threads of one batch; 0 for all cores.
        workers: Batches that run at the same time.
    """

    engine: str = "tensorflow"
    precision: str = "auto"
    threads: int = 0
    workers: int = 1

    @property
    def wants_bfloat16(self) -> bool:
        """Whether to compute in bfloat16.

        `auto` chooses it where the processor has such instructions; a GPU stays in float32.
        """
        if self.precision != "auto":
            return self.precision == "bfloat16"
        on_gpu = self.engine == "tensorflow" and find_hardware().nvidia_driver
        return has_bfloat16() and not on_gpu
