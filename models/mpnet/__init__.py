"""MPNet in tf_keras, with the parameters and results of Hugging Face's."""

from models.mpnet.config import MPNetConfig
from models.mpnet.encoder import MPNetEncoder

__all__ = ["MPNetConfig", "MPNetEncoder"]
