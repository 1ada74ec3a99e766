"""Compares texts tokenized per second on one core with Hugging Face's `tokenizers`.

    python benchmarks/tokenizer.py --tokenizer ../shared/data/tokenizer \
        --texts ../shared/data/reddit_dumps/RC_2015-derived.zst --field body

Both run on one thread, on the same batches, in turns, and return ids cut to 128 tokens
with special tokens; both use their fastest function (ours is compiled as a graph,
theirs is `encode_batch_fast` without parallelism). CPU seconds are counted, because
other load on the machine affects them less. The ids are compared.
"""

import argparse
import os
import statistics
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokenizer", required=True, help="Hugging Face tokenizer folder")
    parser.add_argument("--texts", required=True, help="text or NDJSON file")
    parser.add_argument("--field", help="JSON field with the text")
    parser.add_argument("--count", type=int, default=100_000, help="texts")
    parser.add_argument("--batch", type=int, default=1000, help="texts a call")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=128)
    args = parser.parse_args()

    import itertools

    import tensorflow as tf

    from rejoinder.models.tokenizer import Tokenizer
    from rejoinder.models.tokenizer.testing import differences, hugging_face_tokenizer
    from rejoinder.pipelines.dumps.texts import TextSummary, read_texts

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    ours, theirs = Tokenizer.from_folder(args.tokenizer), hugging_face_tokenizer(args.tokenizer)
    theirs.enable_truncation(args.max_length)
    read = read_texts(args.texts, args.field, TextSummary())
    texts = list(itertools.islice(read, args.count))
    batches = [texts[begin : begin + args.batch] for begin in range(0, len(texts), args.batch)]
    tensors = [tf.constant([text.encode() for text in batch]) for batch in batches]
    graph = tf.function(
        lambda batch: ours(batch, args.max_length),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    wrong = sum(len(differences(ours, theirs, batch, args.max_length)) for batch in batches)
    graph(tensors[0])
    runners = {
        "ours": lambda: [graph(batch) for batch in tensors],
        "tokenizers": lambda: [theirs.encode_batch_fast(batch) for batch in batches],
    }
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(args.rounds):
        for name, run in runners.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    ascii_share = sum(map(str.isascii, texts)) / len(texts)
    size = sum(len(text.encode()) for text in texts) / len(texts)
    print(f"{len(texts):,} texts of {size:.0f} bytes on average, {ascii_share:.1%} of them ASCII")
    print(f"{wrong} texts differ; one core, median of {args.rounds} rounds\n")
    print("| tokenizer | texts per CPU second |")
    print("| --- | --- |")
    rates = {name: len(texts) / statistics.median(values) for name, values in seconds.items()}
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} |")
    print(f"\n{rates['ours'] / rates['tokenizers']:.1f} times tokenizers")


if __name__ == "__main__":
    main()
