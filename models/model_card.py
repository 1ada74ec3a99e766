"""The model card: metadata for the hub, evaluation, training command and data.

Metadata as in https://huggingface.co/docs/hub/model-cards; evaluation, command and
data come from the folder of the training run.
"""

import json
import re

from rejoinder import storage
from rejoinder.models.model_dir import DATA_DESCRIPTION, EVALUATION, TRAINING_REPORT
from rejoinder.tables import markdown_table


def model_card(name: str, dimension: int, max_length: int, model_dir: str | None = None) -> str:
    """Returns the text of README.md.

    Args:
        name: The model's name.
        dimension: Components of an embedding.
        max_length: Tokens after which a text is cut.
        model_dir: Folder of the training run that made the model; its evaluation,
            `data.json` and `training.json` are included where they exist.
    """
    parts = [_head(name, dimension, max_length)]
    if model_dir is not None:
        parts += [
            part
            for part in (
                _evaluation(_read(model_dir, EVALUATION)),
                _training(_read(model_dir, TRAINING_REPORT)),
                _data(_read(model_dir, DATA_DESCRIPTION)),
            )
            if part
        ]
    return "\n".join(parts)


def _head(name: str, dimension: int, max_length: int) -> str:
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- sentence-transformers
- feature-extraction
- sentence-similarity
- mpnet
---

# {name}

Maps sentences to vectors of {dimension} numbers and unit length, so that their
dot product is the cosine similarity. Texts are cut after {max_length} tokens.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{name}")
embeddings = model.encode(["How was the film?", "I liked it a lot."])
print(model.similarity(embeddings, embeddings))
```

MPNet with mean pooling, trained as a dual encoder on (comment, reply) pairs with
the other replies of a batch as negatives.
"""


def _read(model_dir: str, name: str) -> str:
    path = storage.join(model_dir, name)
    return storage.read_bytes(path).decode() if storage.exists(path) else ""


def _evaluation(report: str) -> str:
    """Returns the report with its headings one level lower, to go inside the card."""
    return re.sub(r"^#", "##", report, flags=re.MULTILINE)


def _training(text: str) -> str:
    if not text:
        return ""
    report = json.loads(text)
    rows = [
        ("steps", f"{report['steps']:,}"),
        ("batch", f"{report['batch_size']:,} pairs"),
        ("replicas", f"{report['replicas']:,}"),
        ("parameters trained", f"{report['parameters']:,}"),
        ("precision", report["precision"]),
    ]
    if report["first_loss"] is not None:  # None if the run was killed before its report
        rows.append(("loss", f"{report['first_loss']:.4f} → {report['last_loss']:.4f}"))
    # Older reports have no command.
    command = f"```\n{report['command']}\n```\n\n" if "command" in report else ""
    return f"## Training\n\n{command}{markdown_table(('', ''), rows)}\n"


def _data(text: str) -> str:
    if not text:
        return ""
    rows = [
        (corpus["name"], corpus["weight"], f"{corpus['pairs']:,}", f"`{corpus['shards']}`")
        for corpus in json.loads(text)["corpora"]
    ]
    header = ("corpus", "weight", "pairs", "sha256 of its shards")
    return f"### Data\n\n{markdown_table(header, rows, left=(0, 3))}\n"
