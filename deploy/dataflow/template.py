"""The Flex Template's entry point: passes `name=value` parameters to `rejoinder preprocess`.

The launcher must not wait for the job, so the job is detached; its last step
publishes the corpus.
"""

import sys
from collections.abc import Sequence

from rejoinder import cli

# Options without a value; the service always gives one.
_SWITCHES = (
    "keep_text",
    "overwrite",
    "clean_text",
    "drop_bots",
    "drop_duplicates",
    "drop_over_18",
    "drop_removed_by_reddit",
)
# Options of `rejoinder preprocess`, which have dashes; Beam's options keep underscores.
_WITH_DASHES = (
    "max_length",
    "num_shards",
    "max_bad_ratio",
    "on_truncated",
    "extra_contexts",
    "min_chars",
    "max_chars",
    "min_score",
    "block_subreddits",
)


def translate(arguments: Sequence[str]) -> list[str]:
    """Returns the command's arguments for the service's `--name=value` arguments.

    Arguments of neither list are passed on: they are Beam's, or spelled alike in both.
    """
    translated = []
    for argument in arguments:
        name, _, value = argument.removeprefix("--").partition("=")
        if name in _SWITCHES:
            if value.lower() == "true":
                translated.append("--" + name.replace("_", "-"))
        elif name in _WITH_DASHES:
            translated.append(f"--{name.replace('_', '-')}={value}")
        else:
            translated.append(argument)
    return [*translated, "--detach"]


if __name__ == "__main__":
    from rejoinder.pipelines import preprocess

    cli.run(lambda: preprocess.main(translate(sys.argv[1:])))
