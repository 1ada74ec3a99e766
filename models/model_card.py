"""The model card: metadata for the hub, examples, evaluation, training command and data.

Metadata as in https://huggingface.co/docs/hub/model-cards; evaluation, command and
data come from the folder of the training run.
"""

import json
import re

from rejoinder import storage
from rejoinder.models.card_data import CardDetails, card_data, is_hub_name, render_metadata
from rejoinder.models.model_dir import (
    DATA_DESCRIPTION,
    EVALUATION,
    TRAINING_REPORT,
    evaluation_folder,
)
from rejoinder.tables import markdown_table

_TEXTS = '["How was the film?", "I liked it a lot."]'


def model_card(
    details: CardDetails,
    dimension: int,
    max_length: int,
    *,
    normalize: bool = True,
    truncated: bool = False,
) -> str:
    """Returns the text of README.md.

    Args:
        details: Name, source and metadata; the evaluation, `data.json` and
            `training.json` of a training run are included where they exist.
        dimension: Components of an embedding.
        max_length: Tokens after which a text is cut.
        normalize: Whether embeddings are scaled to unit length.
        truncated: Whether components are left out after that.
    """
    from huggingface_hub import ModelCard

    parts = [
        _head(details, dimension, max_length, normalize and not truncated),
        _examples(details, dimension if truncated else None, normalize),
    ]
    if details.model_dir is not None:
        evaluation = evaluation_folder(details.model_dir, details.checkpoint)
        parts += [
            part
            for part in (
                _evaluation(_read(evaluation, EVALUATION)),
                _training(_read(details.model_dir, TRAINING_REPORT)),
                _data(_read(details.model_dir, DATA_DESCRIPTION)),
            )
            if part
        ]
    parts.append(_limits(max_length, details.is_trained_here))
    text = "\n".join(parts)
    return str(ModelCard(f"---\n{render_metadata(card_data(details))}\n---\n\n{text}"))


def _head(details: CardDetails, dimension: int, max_length: int, has_unit_length: bool) -> str:
    if details.is_trained_here:
        origin = (
            "MPNet with mean pooling, trained by Rejoinder as a dual encoder on (context, response)"
            "\npairs, with the other responses of a batch as negatives."
        )
    else:
        source = f" of {details.source}" if is_hub_name(details.source or "") else ""
        origin = (
            f"MPNet with mean pooling. Rejoinder converted the weights{source} without training;"
            "\nthe card of the original model describes its data and its training."
        )
    lengths = " of unit length, so that their\ndot product is the cosine similarity"
    return f"""# {details.name}

Maps sentences to vectors of {dimension} numbers{lengths if has_unit_length else ""}.
Texts are cut after {max_length} tokens.

{origin}
"""


def _examples(details: CardDetails, truncate_dim: int | None, normalize: bool) -> str:
    path = json.dumps(details.snippet_path)
    rest = f"embeddings = embeddings[:, :{truncate_dim}]\n" if truncate_dim else ""
    scale = "embeddings = torch.nn.functional.normalize(embeddings, dim=-1)\n" if normalize else ""
    if details.saved_model is not None:
        saved, first = json.dumps(details.saved_model), ""
    else:
        saved = json.dumps("exports/model/1")
        first = f", after\n`rejoinder export --model {details.snippet_path} --output exports/model`"
    return f"""## Usage

With sentence-transformers:

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer({path})
embeddings = model.encode({_TEXTS})
print(model.similarity(embeddings, embeddings))
```

With transformers:

```python
import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({path})
model = AutoModel.from_pretrained({path})
inputs = tokenizer({_TEXTS}, padding=True, truncation=True, return_tensors="pt")
with torch.no_grad():
    hidden = model(**inputs).last_hidden_state
mask = inputs["attention_mask"][:, :, None]
embeddings = (hidden * mask).sum(1) / mask.sum(1)
{scale}{rest}```

With TensorFlow{first}:

```python
import tensorflow as tf
import tensorflow_text  # registers the operations of the tokenizer

model = tf.saved_model.load({saved})
texts = tf.constant({_TEXTS})
embeddings = model.signatures["serving_default"](text=texts)["embedding"]
```
"""


def _limits(max_length: int, is_trained_here: bool) -> str:
    learned = (
        "It learned from comments that people wrote on the internet, and reproduces their\n"
        "  prejudices and errors: compare its results for the groups of people that matter to you."
        if is_trained_here
        else "It reproduces the prejudices and errors of the texts it was trained on."
    )
    return f"""## Intended use

Semantic search, clustering, finding duplicates, and choosing a response among candidates.

## Limits

- What comes after {max_length} tokens of a text has no influence.
- A high similarity means that texts are alike in topic or that one answers the other, not
  that they are true or say the same.
- {learned}
- It is not a basis for decisions about single persons.
"""


def _read(folder: str, name: str) -> str:
    path = storage.join(folder, name)
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
