"""MPNet in tf_keras, with the parameters and results of Hugging Face's `MPNetModel`."""

from rejoinder.models.mpnet.config import MPNetConfig
from rejoinder.models.mpnet.encoder import MPNetEncoder

__all__ = ["MPNetConfig", "MPNetEncoder"]
