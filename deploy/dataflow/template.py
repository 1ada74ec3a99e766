"""The Flex Template's entry point: passes `name=value` parameters to `rejoinder preprocess`.

The launcher must not wait for the job, so the job is detached; its last step
publishes the corpus.
"""

import argparse
import sys
from collections.abc import Sequence

from rejoinder import cli
from rejoinder.pipelines import preprocess


def options() -> dict[str, argparse.Action]:
    """Returns the options of `rejoinder preprocess` by their names with underscores."""
    return {
        action.dest: action
        for action in preprocess.build_parser()._actions
        if action.option_strings and action.dest != "help"
    }


def translate(arguments: Sequence[str]) -> list[str]:
    """Returns the command's arguments for the service's `--name=value` arguments.

    Parameters have underscores and always a value: `keep_text=true`. Arguments that are no
    options of the command are Beam's, and passed on.
    """
    known, translated = options(), []
    for argument in arguments:
        name, _, value = argument.removeprefix("--").partition("=")
        action = known.get(name)
        if action is None:
            translated.append(argument)
        elif action.nargs != 0:
            translated.append(f"{action.option_strings[0]}={value}")
        elif value.lower() == "true":
            translated.append(action.option_strings[0])
    return [*translated, "--detach"]


if __name__ == "__main__":
    cli.run(lambda: preprocess.main(translate(sys.argv[1:])))
