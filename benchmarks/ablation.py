"""The effect of each setting on quality at a small budget: one short run per setting.

    python -m benchmarks.ablation --corpus CORPUS --output FOLDER [--pairs 57344] [--only NAME …]

Every run trains `--config` on the same number of pairs in the same order. The first, `base`,
uses batches of 1,024, as the published recipe; each other run changes one setting of `base`.
`rejoinder evaluate` then compares all with `base`, pair by pair on the same batches. A finished
run is not trained again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

_BATCH = "task.train_data.global_batch_size"
_PEAK = "trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate"
_WARM_UP = "trainer.optimizer_config.warmup.linear.warmup_steps"

_BASE_BATCH = 1024

VARIANTS: dict[str, dict[str, object]] = {
    "base": {},
    "batch-256": {_BATCH: 256},
    "batch-4096-gradcache": {_BATCH: 4096, "task.grad_cache_chunks": 4},
    "duplicates-as-negatives": {"task.loss.mask_duplicates": False},
    "one-direction": {"task.loss.symmetric": False},
    "scale-10": {"task.loss.scale": 10.0},
    "scale-40": {"task.loss.scale": 40.0},
    "scale-learned": {"task.loss.learn_scale": True},
    "rate-3e-4": {_PEAK: 3e-4},
    "rate-3e-3": {_PEAK: 3e-3},
    "no-warm-up": {_WARM_UP: 0},
    "no-dropout": {"task.model.hidden_dropout_prob": 0.0},
}


def overrides(variant: str, pairs: int) -> str:
    """Returns `--params-override` for a run over `pairs` pairs, a tenth of it warm-up."""
    keys = {_BATCH: _BASE_BATCH, **VARIANTS[variant]}
    steps = pairs // int(str(keys[_BATCH]))
    values = {
        _WARM_UP: steps // 10,
        "trainer.train_steps": steps,
        "trainer.steps_per_loop": max(steps // 4, 1),
        "trainer.checkpoint_interval": steps,
        **keys,
    }
    return ",".join(f"{key}={_yaml(value)}" for key, value in values.items())


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value!r}"


def main() -> None:
    """Trains the missing runs, then evaluates all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, help="corpus with texts in its test split")
    parser.add_argument("--output", type=Path, required=True, help="a folder for each run")
    parser.add_argument("--config", default="small_reddit_2015")
    parser.add_argument("--pairs", type=int, default=57_344, help="pairs that each run trains on")
    parser.add_argument(
        "--override", default="", metavar="KEYS", help="further --params-override of every run"
    )
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    args = parser.parse_args()
    for variant in args.only:
        print(f"-- {variant}", flush=True)
        keys = ",".join(filter(None, (args.override, overrides(variant, args.pairs))))
        _python(
            *("-m", "rejoinder", "train", "--mode=train", f"--config={args.config}"),
            *(f"--corpus={args.corpus}", f"--model-dir={args.output / variant}"),
            f"--params-override={keys}",
        )
    models = ",".join(f"{variant}={args.output / variant}" for variant in args.only)
    _python(
        *("-m", "rejoinder", "evaluate", "--model", models, "--corpus", args.corpus),
        *("--output", str(args.output / "evaluation"), "--no-baselines"),
    )


def _python(*arguments: str) -> None:
    if code := subprocess.run([sys.executable, *arguments], check=False).returncode:
        sys.exit(code)


if __name__ == "__main__":
    main()
