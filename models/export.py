"""Exports a model for serving: a versioned SavedModel and a sentence-transformers folder.

    rejoinder export --model MODEL_DIR --output exports/reddit
    rejoinder export --model gs://BUCKET/MODEL_DIR --output gs://BUCKET/exports/reddit

writes `exports/reddit/<version>/` for TensorFlow Serving and `rejoinder serve`, and
`exports/reddit-sentence-transformers/<version>/` for sentence-transformers and Text
Embeddings Inference.
"""

import argparse
import dataclasses
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.output import check_place, resolve, surroundings

if TYPE_CHECKING:
    from rejoinder.models.card_data import CardDetails
    from rejoinder.models.saved_model.int8 import Int8

SENTENCE_TRANSFORMERS_SUFFIX = "-sentence-transformers"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Texts of several scripts, from the shortest to one above the length limit.
_PROBES = ("", "Yes.", "What do you think of it?", "word " * 300, "naïve 日本語 🙂")
# Maximum difference of a component between the encoder and the SavedModel, which
# computes each text in its own width, so that bfloat16 rounds differently.
_TOLERANCES = {"float32": 1e-5, "bfloat16": 2e-2}
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def export_model(
    model: str,
    base: str | os.PathLike[str],
    *,
    name: str | None = None,
    version: int | None = None,
    checkpoint: str | None = None,
    precision: str = "float32",
    sentence_transformers: bool = True,
    card: "CardDetails | None" = None,
    openvino: bool = False,
    int8: "Int8 | None" = None,
) -> str:
    """Exports one model version.

    Args:
        model: Any path or name that `rejoinder.models.loading.load_model` accepts.
        base: Folder of versions, on any file system of `rejoinder.storage`.
        name: Model name in warm-up records and manifest; by default base's last component.
        version: Version number; by default the next.
        checkpoint: Checkpoint of a trainer MODEL_DIR; by default its latest.
        precision: `float32`, or `bfloat16` to compute in bfloat16 (weights stay float32).
        sentence_transformers: Whether to write a sentence-transformers folder too.
        card: License and other metadata for the model card; the name, the source and the
            paths are filled in.
        openvino: Whether to write a model for `serve --engine openvino`, too.
        int8: How to quantize that model, or None.

    Returns:
        The published SavedModel folder.

    Raises:
        UserError: An argument is wrong, the version exists, the model puts a prompt before
            every text, or the saved model does not reproduce the encoder.
    """
    base = os.fspath(base)
    base = str(Path(base)) if storage.is_local(base) else base.rstrip("/")
    name = name or default_name(base)
    if not _NAME.fullmatch(name):
        raise UserError(f"--name: must be 1 to 64 letters, digits, '.', '_' and '-', got {name!r}")
    from rejoinder.models.loading import load_model
    from rejoinder.models.model_dir import is_model_dir, trained_dimensions
    from rejoinder.models.saved_model.manifest import MANIFEST_FILE
    from rejoinder.models.saved_model.publish import versions

    loaded = load_model(model, checkpoint=checkpoint, dtype=_POLICIES[precision])
    prompt = loaded.settings.prompts.get(loaded.settings.default_prompt_name or "")
    if prompt:
        raise UserError(
            f"{model}: puts the prompt {prompt!r} before every text, which a SavedModel does not "
            "do; remove default_prompt_name from config_sentence_transformers.json and send "
            "texts with the prompt"
        )
    sibling = base + SENTENCE_TRANSFORMERS_SUFFIX
    if version is None:
        version = max(versions(base) + versions(sibling), default=0) + 1
    folder, twin = (storage.join(each, str(version)) for each in (base, sibling))
    if sentence_transformers:
        # First, so that every published SavedModel has its sentence-transformers folder.
        from rejoinder.models.card_data import CardDetails
        from rejoinder.models.sentence_transformers import save_sentence_transformers

        card = card or CardDetails(name=name)
        card = dataclasses.replace(
            card,
            name=name,
            source=model,
            is_trained_here=is_model_dir(model),
            checkpoint=checkpoint,
            snippet_path=card.snippet_path or twin,
            saved_model=None if card.snippet_path else folder,
        )
        _publish(
            sibling,
            lambda folder: save_sentence_transformers(
                folder,
                loaded.encoder,
                loaded.tokenizer_folder,
                max_length=loaded.max_length,
                settings=loaded.settings,
                card=card,
            ),
            version=version,
            last="modules.json",
        )
    _publish(
        base,
        lambda folder: write_saved_model(
            folder,
            loaded,
            name=name,
            source=Path(model).name,
            precision=precision,
            dimension=loaded.dimension,
            trained_dimensions=trained_dimensions(model) if is_model_dir(model) else (),
            openvino=openvino,
            int8=int8,
        ),
        version=version,
        last=MANIFEST_FILE,
    )
    return folder


def default_name(base: str) -> str:
    """Returns the last component of a folder of versions, which is the model's name."""
    return Path(base).resolve().name if storage.is_local(base) else base.rpartition("/")[2]


def _publish(base: str, write: Callable[[Path], None], *, version: int, last: str) -> None:
    from rejoinder.models.saved_model.bucket import publish_in_bucket
    from rejoinder.models.saved_model.publish import publish

    if storage.is_local(base):
        publish(Path(base), write, version=version)
    else:
        publish_in_bucket(base, write, version=version, last=last)


def write_saved_model(
    folder: Path,
    loaded: Any,
    *,
    name: str,
    source: str,
    precision: str = "float32",
    dimension: int | None = None,
    trained_dimensions: Sequence[int] = (),
    openvino: bool = False,
    int8: "Int8 | None" = None,
) -> None:
    """Writes SavedModel, warm-up, batching parameters and manifest into `folder`.

    Args:
        folder: An empty folder.
        loaded: `rejoinder.models.loading.LoadedModel`, or anything with `encoder`, `tokenizer`
            and `max_length`.
        name: Model name.
        source: Name of the model's path, for the manifest.
        precision: `float32` or `bfloat16`, in which the encoder computes.
        dimension: Components of an embedding that are kept; all by default.
        trained_dimensions: Fewer components for which the model was trained, too.
        openvino: Whether to write a model for OpenVINO, too.
        int8: How to quantize that model, or None.

    Raises:
        UserError: The saved model's embeddings differ from the encoder's, or int8 is not
            accurate enough.
    """
    import numpy as np
    import tensorflow as tf

    from rejoinder.models.saved_model import manifest
    from rejoinder.models.saved_model.batching import write_batching_params
    from rejoinder.models.saved_model.buckets import bucket_widths
    from rejoinder.models.saved_model.signatures import ServingModule
    from rejoinder.models.saved_model.warmup import write_warmup

    tokenizer = loaded.tokenizer

    def encode(ids: tf.RaggedTensor) -> Any:
        padded = {"token_ids": ids.to_tensor(tokenizer.pad_id)}
        return loaded.encoder(padded, training=False).numpy()[:, :dimension]

    expected = encode(tokenizer(tf.constant(_PROBES), max_length=loaded.max_length).ids)
    module = ServingModule(
        tokenizer,
        loaded.encoder,
        max_length=loaded.max_length,
        dimension=expected.shape[-1],
    )
    tf.saved_model.save(module, str(folder), signatures=module.signatures())

    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    got = served(text=tf.constant(_PROBES))["embedding"].numpy()
    difference = float(np.max(np.abs(got - expected)))
    if not difference <= _TOLERANCES[precision]:
        raise UserError(
            f"{folder.parent}: the saved model differs from the encoder by {difference:.2e}, more "
            f"than {_TOLERANCES[precision]:.0e}; nothing was published; report this as a bug"
        )

    widths = bucket_widths(loaded.max_length)
    write_warmup(folder, name=name, widths=widths, bos_id=tokenizer.bos_id, eos_id=tokenizer.eos_id)
    write_batching_params(folder)
    if hasattr(tokenizer, "vocabulary_json"):  # the tokenizer of tests has none
        (folder / manifest.VOCABULARY_FILE).write_text(tokenizer.vocabulary_json)
    description: dict[str, Any] = {}
    if openvino:
        from rejoinder.models.saved_model.int8 import add_openvino
        from rejoinder.models.saved_model.reference import TEXTS, write_reference

        def tokenize(texts: Sequence[str | bytes]) -> list[Any]:
            ids = tokenizer(tf.constant(texts), max_length=loaded.max_length).ids
            return np.split(ids.flat_values.numpy(), ids.row_splits.numpy()[1:-1])

        description = add_openvino(
            folder,
            module.encode_packed.get_concrete_function(),
            tokenize,
            probes=_PROBES,
            expected=expected,
            int8=int8,
        )
        if hasattr(tokenizer, "spec"):
            rows = tokenize(TEXTS)
            write_reference(
                folder,
                tokenizer.spec,
                max_length=loaded.max_length,
                token_ids=rows,
                embeddings=encode(tf.ragged.stack(rows)),
            )
    manifest.ExportManifest(
        name=name,
        dimension=expected.shape[-1],
        max_length=loaded.max_length,
        widths=list(widths),
        vocab_size=tokenizer.vocab_size,
        pad_id=tokenizer.pad_id,
        tokenizer=tokenizer.fingerprint,
        precision=precision,
        parameters=int(loaded.encoder.count_params()),
        source=source,
        versions=manifest.software_versions(),
        files=manifest.hash_files(folder),
        trained_dimensions=sorted(trained_dimensions),
        openvino=description,
    ).write(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rejoinder export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        required=True,
        help="trainer MODEL_DIR, sentence-transformers or Hugging Face folder, or hub name",
    )
    model.add_argument("--checkpoint", help="checkpoint of a MODEL_DIR (default: the latest)")
    export = parser.add_argument_group("export")
    export.add_argument(
        "--output",
        required=True,
        metavar="BASE",
        help="folder of all versions, local or in a bucket",
    )
    export.add_argument("--name", help="model name (default: BASE's last component)")
    export.add_argument("--version", type=int, help="version number (default: the next free one)")
    export.add_argument(
        "--precision",
        choices=sorted(_POLICIES),
        default="float32",
        help="bfloat16 computes faster where the processor has such instructions",
    )
    export.add_argument(
        "--openvino",
        action="store_true",
        help="write a model for `rejoinder serve --engine openvino`, too",
    )
    export.add_argument(
        "--int8",
        metavar="CORPUS",
        help="write that model with int8 weights; the test pairs of CORPUS set their ranges and "
        "measure the accuracy",
    )
    export.add_argument(
        "--int8-max-loss",
        type=float,
        default=1.0,
        metavar="POINTS",
        help="refuse int8 if it lowers the 1-of-100 accuracy by more (default: 1)",
    )
    export.add_argument(
        "--no-sentence-transformers",
        action="store_true",
        help="write the SavedModel only",
    )
    card = parser.add_argument_group(
        "model card", "what neither an option nor the card of the model's base says is left out"
    )
    card.add_argument("--license", metavar="SPDX", help="license of the weights, e.g. apache-2.0")
    card.add_argument("--base-model", metavar="NAME", help="hub name of the base model")
    card.add_argument(
        "--language", nargs="+", default=[], metavar="CODE", help="languages, e.g. en de"
    )
    card.add_argument(
        "--dataset", nargs="+", default=[], metavar="NAME", help="hub names of its data sets"
    )
    hub = parser.add_argument_group("hub")
    hub.add_argument(
        "--push-to-hub",
        metavar="OWNER/NAME",
        help="upload the sentence-transformers folder to the Hugging Face hub; log in with "
        "`hf auth login` first",
    )
    hub.add_argument(
        "--private", action="store_true", help="make the repository private if it is new"
    )
    return parser


def _read_int8(args: argparse.Namespace) -> "Int8 | None":
    """Checks the options of the OpenVINO model and reads the pairs of `--int8`."""
    if not (args.openvino or args.int8):
        return None
    from rejoinder import extras

    flag = "--int8" if args.int8 else "--openvino"
    extras.check_installed("openvino", f"export {flag}")
    if args.precision != "float32":
        raise UserError(f"{flag}: needs --precision float32; the server chooses its precision")
    if not args.int8:
        return None
    from rejoinder.evaluation.pairs import load_pairs
    from rejoinder.evaluation.ranking import CANDIDATES, in_batch_accuracy
    from rejoinder.models.saved_model.int8 import CALIBRATION_TEXTS, PAIRS, Int8

    pairs = load_pairs(args.int8, limit=CALIBRATION_TEXTS + PAIRS)
    if len(pairs) < CALIBRATION_TEXTS + CANDIDATES:
        raise UserError(
            f"--int8 {args.int8}: has {len(pairs)} test pairs, and at least "
            f"{CALIBRATION_TEXTS + CANDIDATES} are needed"
        )
    return Int8(pairs.contexts, pairs.responses, in_batch_accuracy, args.int8_max_loss)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line."""
    args = _parser().parse_args(argv)
    from rejoinder.models.card_data import CardDetails
    from rejoinder.models.saved_model.bucket import check_bucket

    if args.version is not None and args.version < 1:
        raise UserError(f"--version: must be at least 1, got {args.version}")
    check_place(args.output, resolve(args.output), surroundings([("--model", args.model)]))
    if not storage.is_local(args.output):
        check_bucket(args.output)
    int8 = _read_int8(args)
    if args.push_to_hub:
        from rejoinder.models.hub import make_repository

        if not storage.is_local(args.output):
            raise UserError("--push-to-hub: needs a local --output, from which files are uploaded")
        if args.no_sentence_transformers:
            raise UserError("--push-to-hub: cannot be combined with --no-sentence-transformers")
        # Before the export: a name that cannot be uploaded to is an error now.
        make_repository(args.push_to_hub, private=args.private)
    folder = export_model(
        args.model,
        args.output,
        name=args.name,
        version=args.version,
        checkpoint=args.checkpoint,
        precision=args.precision,
        sentence_transformers=not args.no_sentence_transformers,
        card=CardDetails(
            name=args.name or "",
            snippet_path=args.push_to_hub,
            license=args.license,
            base_model=args.base_model,
            languages=tuple(args.language),
            datasets=tuple(args.dataset),
        ),
        openvino=args.openvino or int8 is not None,
        int8=int8,
    )
    base, _, version = folder.rpartition("/")
    print(f"SavedModel             {folder}")
    if int8 is not None:
        from rejoinder.models.saved_model.manifest import MANIFEST_FILE, ExportManifest

        path = storage.join(folder, MANIFEST_FILE)
        accuracy = ExportManifest.parse(storage.read_bytes(path), path).openvino["one_of_100"]
        print(
            f"1-of-100 accuracy      {accuracy['int8']:.1%} int8, {accuracy['float32']:.1%} float32"
        )
    if not args.no_sentence_transformers:
        twin = storage.join(base + SENTENCE_TRANSFORMERS_SUFFIX, version)
        print(f"sentence-transformers  {twin}")
        if args.push_to_hub:
            from rejoinder.models.hub import push_folder

            print(f"hub                    {push_folder(Path(twin), args.push_to_hub)}")
    name = args.name or default_name(base)
    print(f"serve it with          rejoinder serve --model {name}={base}")
    return 0
