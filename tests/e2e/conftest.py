"""Small training runs of whole commands, each in processes of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml


@pytest.fixture(scope="session")
def write_run():
    """Returns a function that writes a corpus and the settings of a run that takes seconds."""

    def write(folder: Path, settings: dict, *, test_pairs: int = 0) -> list[str]:
        """Returns the arguments of `rejoinder train`; `settings` extend `TINY_RUN`."""
        program = (
            "import sys; from pathlib import Path; import yaml; "
            "from rejoinder.trainer.data import testing; folder = Path(sys.argv[1]); "
            "(folder / 'tiny.yaml').write_text(yaml.safe_dump(testing.TINY_RUN)); "
            "testing.write_trainable_corpus("
            "folder / 'corpus', pairs=400, test_pairs=int(sys.argv[2]))"
        )
        # In another process, so that this one does not initialize TensorFlow's devices.
        subprocess.run([sys.executable, "-c", program, str(folder), str(test_pairs)], check=True)
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
        files = [f"--config={folder / name}.yaml" for name in ("tiny", "settings")]
        return [f"--corpus={folder / 'corpus'}", *files]

    return write


@pytest.fixture(scope="session")
def weights():
    """Returns a function that reads the last checkpoint of a run, optimizer included."""
    import tensorflow as tf

    def read(model_dir: Path, step: int) -> dict[str, np.ndarray]:
        """Returns every value of the checkpoint, which has to be that of `step`."""
        path = tf.train.latest_checkpoint(str(model_dir))
        assert path is not None
        assert path.endswith(f"ckpt-{step}")
        reader = tf.train.load_checkpoint(path)
        names = [n for n in reader.get_variable_to_shape_map() if not n.startswith("_CHECK")]
        return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}

    return read
