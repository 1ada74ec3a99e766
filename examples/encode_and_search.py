"""Embeds the lines of a text file, builds a search index of them, and answers queries.

    python examples/encode_and_search.py --model MODEL --texts comments.txt --index out/index \
        "how do I keep my cat off the sofa" "best pizza dough"

MODEL is anything that `Encoder.load` takes: a training run, an export, a
sentence-transformers folder, or a name on the Hugging Face hub.
"""

import argparse
from pathlib import Path

import pyarrow as pa

from rejoinder import Encoder, SearchIndex
from rejoinder.retrieval.index_builder import build


def main() -> None:
    """Prints the nearest lines of each query, best first."""
    parser = argparse.ArgumentParser(description="Search the lines of a text file by meaning.")
    parser.add_argument("--model", required=True, help="anything that Encoder.load takes")
    parser.add_argument("--texts", type=Path, required=True, help="text file, one text a line")
    parser.add_argument("--index", required=True, help="folder for the index; replaced")
    parser.add_argument("queries", nargs="+", help="texts to search for")
    arguments = parser.parse_args()

    encoder = Encoder.load(arguments.model)
    lines = arguments.texts.read_text(encoding="utf-8").splitlines()
    texts = [line for line in lines if line.strip()]
    embeddings = encoder.encode(texts)  # float32 [n, d], unit length
    batches = [(pa.table({"text": texts}), embeddings)]
    build(
        arguments.index,
        batches,
        model=arguments.model,
        source=str(arguments.texts),
        overwrite=True,  # of an index only: a folder with other files is an error
    )

    index = SearchIndex(arguments.index)
    answers = index.search(encoder.encode(arguments.queries), k=3)
    for query, found in zip(arguments.queries, answers, strict=True):
        print(query)
        for answer in found:
            print(f"  {answer.score:.3f}  {answer.text}")
    print(f"wrote {arguments.index}; next: rejoinder search --index {arguments.index} --query …")


if __name__ == "__main__":
    main()
