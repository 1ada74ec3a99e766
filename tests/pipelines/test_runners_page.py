"""The program and Beam 2.77 understand every command on docs/runners.md."""

import re
import shlex
from pathlib import Path

import pytest

from rejoinder.pipelines import preprocess
from rejoinder.pipelines.job import runners

PAGE = Path(__file__).parents[2] / "docs" / "runners.md"


def commands() -> list[list[str]]:
    """Returns the arguments of each `rejoinder preprocess` on the page."""
    text = PAGE.read_text().replace("\\\n", " ")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    found = [
        line.split("rejoinder preprocess", 1)[1]
        for line in lines
        if "rejoinder preprocess " in line
    ]
    return [shlex.split(line, comments=True) for line in found]


def choose_runner(given: list[str]) -> runners.RunnerChoice:
    required = ["--input", "x", "--output", "y"]
    known, rest = preprocess.build_parser().parse_known_args(
        [*required, *(argument for argument in given if argument != "…")]
    )
    return runners.choose(known.runner, known.workers, rest)


@pytest.mark.parametrize("given", commands(), ids=" ".join)
def test_every_option_is_known(given):
    options = choose_runner(given).pipeline_options().get_all_options(drop_default=True)
    for argument in given:
        name, _, value = argument.removeprefix("--").partition("=")
        if argument.startswith("--") and value and name in options:
            assert str(options[name]) == value


def test_all_runners_are_on_the_page():
    assert {choose_runner(given).name for given in commands()} == {
        "FnApiRunner",
        "PortableRunner",
        "PrismRunner",
        "FlinkRunner",
        "SparkRunner",
        "DataflowRunner",
    }
