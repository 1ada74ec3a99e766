"""`README.md` of a folder of table files: a data card that `datasets.load_dataset` reads.

Format of the header: https://huggingface.co/docs/datasets/repository_structure. A split
without pairs is not listed there, because `load_dataset` refuses it.
"""

import json
import posixpath
from collections.abc import Sequence

from rejoinder.corpus import features as names
from rejoinder.corpus.manifest import Manifest
from rejoinder.corpus.naming import SPLITS
from rejoinder.corpus.table_files import TableFiles
from rejoinder.tables import markdown_table

NAME = "README.md"
# The two configurations of Parquet files, the first is the default. Trainers of
# sentence-transformers take every column for a text to embed, so it has two columns only.
_PAIRS, _FULL = "pairs", "full"
_PAIR_COLUMNS = (names.CONTEXT, names.RESPONSE)
_CONTENTS = {
    names.CONTEXT: "the text that is answered",
    names.RESPONSE: "the answer",
    names.CONTEXT_AUTHOR: "author of the context",
    names.RESPONSE_AUTHOR: "author of the response",
    names.SUBREDDIT: "the subreddit",
    names.THREAD_ID: "id of the submission; the pairs of a thread are all in one split",
    names.CONTEXT_ID: "id of the context's comment",
    names.RESPONSE_ID: "id of the response's comment",
}
# Of the columns with a number.
_OF_ANCESTORS = {
    names.CONTEXT: "an earlier comment of the thread, 0 is the nearest",
    names.CONTEXT_AUTHOR: "author of the earlier comment with this number",
    names.CONTEXT_ID: "id of the earlier comment with this number",
}


def data_card(manifest: Manifest, tables: TableFiles) -> str:
    """Returns the text of `README.md`.

    Args:
        manifest: The manifest of the corpus.
        tables: The format and the columns of the files.
    """
    splits = [split for split in SPLITS if manifest.examples(split)]
    columns = [[f"`{name}`", _content(name)] for name in tables.features]
    counts = [[f"`{split}`", f"{manifest.examples(split):,}"] for split in SPLITS]
    inputs = [[posixpath.basename(entry["path"]), entry["sha256"]] for entry in manifest.inputs]
    options = [[f"`{name}`", json.dumps(value)] for name, value in sorted(manifest.options.items())]
    parts = [
        "\n".join(["---", *_configurations(tables, splits), "---"]),
        f"# {manifest.name}",
        "Pairs of a text and its answer, made by Rejoinder.",
        markdown_table(["split", "pairs"], counts),
        markdown_table(["column", "content"], columns, left=(0, 1)),
        "## Use",
        _usage(tables, splits),
        "## Origin",
        "The texts belong to those who wrote them.",
        markdown_table(["input", "sha256"], inputs, left=(0, 1)),
        markdown_table(["option", "value"], options, left=(0, 1)),
    ]
    return "\n\n".join(parts) + "\n"


def _content(name: str) -> str:
    kind, slash, _ = name.partition("/")
    return _OF_ANCESTORS[kind] if slash else _CONTENTS[kind]


def _has_two_configurations(tables: TableFiles) -> bool:
    # The loader of JSON files cannot leave columns out.
    return tables.format == "parquet" and tables.features != _PAIR_COLUMNS


def _configurations(tables: TableFiles, splits: Sequence[str]) -> list[str]:
    """Returns the lines of the header."""
    files = ["  data_files:"]
    for split in splits:
        files += [f"  - split: {split}", f"    path: {tables.pattern(split)}"]
    if _has_two_configurations(tables):
        columns = f"  columns: [{', '.join(_PAIR_COLUMNS)}]"
        pairs = [f"- config_name: {_PAIRS}", "  default: true", columns, *files]
        return ["configs:", *pairs, f"- config_name: {_FULL}", *files]
    lines = ["configs:", f"- config_name: {_PAIRS}", *files]
    if tables.format != "parquet":  # of a column of nulls, JSON does not show the type
        lines += ["dataset_info:", f"- config_name: {_PAIRS}", "  features:"]
        for name in tables.features:
            lines += [f"  - name: {name}", "    dtype: string"]
    return lines


def _usage(tables: TableFiles, splits: Sequence[str]) -> str:
    """Returns the code that opens the folder and trains on it."""
    lines = ["from datasets import load_dataset", "", 'pairs = load_dataset("THIS_FOLDER")']
    if _has_two_configurations(tables):
        lines.append(f'full = load_dataset("THIS_FOLDER", "{_FULL}")  # all columns')
    elif tables.features != _PAIR_COLUMNS:
        lines.append(f"pairs = pairs.select_columns({list(_PAIR_COLUMNS)})")
    if "train" in splits:
        lines += [
            "",
            "from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer",
            "from sentence_transformers.losses import MultipleNegativesRankingLoss",
            "",
            'model = SentenceTransformer("MODEL")',
            "loss = MultipleNegativesRankingLoss(model)",
            'SentenceTransformerTrainer(model, train_dataset=pairs["train"], loss=loss).train()',
        ]
    return "\n".join(["```python", *lines, "```"])
