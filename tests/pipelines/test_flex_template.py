"""The Flex Template's parameters are options that the command has."""

import importlib.util
import json
import re
from pathlib import Path

from rejoinder.pipelines import preprocess
from rejoinder.pipelines.job import runners

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "dataflow"


def template():
    spec = importlib.util.spec_from_file_location("template", DEPLOY / "template.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_parameters_become_options():
    given = ["--input=gs://a/RC_*", "--output=gs://a/o", "--keep_text=true", "--overwrite=false"]
    given += ["--num_shards=7", "--temp_location=gs://a/t"]
    assert template().translate(given) == [
        "--input=gs://a/RC_*",
        "--output=gs://a/o",
        "--keep-text",
        "--num-shards=7",
        "--temp_location=gs://a/t",
        "--detach",
    ]


def test_every_parameter_of_the_specification_is_known_to_the_command():
    parameters = json.loads((DEPLOY / "metadata.json").read_text())["parameters"]
    examples = {"keep_text": "true", "overwrite": "true", "preset": "clean", "on_truncated": "keep"}
    given = [f"--{p['name']}={examples.get(p['name'], '1')}" for p in parameters]
    _, unknown = preprocess.build_parser().parse_known_args(template().translate(given))
    assert unknown == []


def test_arguments_that_the_launcher_adds_go_to_beam():
    """Dataflow's launcher adds these to the parameters of a Python template."""
    added = ["--runner=DataflowRunner", "--project=p", "--region=europe-west4", "--job_name=j"]
    added += ["--temp_location=gs://a/t", "--staging_location=gs://a/s", "--requirements_cache=x"]
    added += ["--template_location=gs://a/job", "--sdk_container_image=image"]
    given = [*added, "--input=gs://a/RC_*", "--output=gs://a/o", "--tokenizer=gs://a/tok"]
    known, rest = preprocess.build_parser().parse_known_args(template().translate(given))
    choice = runners.choose(known.runner, known.workers, rest)
    assert choice.name == "DataflowRunner"
    assert known.detach
    options = choice.pipeline_options().get_all_options(drop_default=True)
    for argument in added:
        name, value = argument.removeprefix("--").split("=")
        assert options[name] == value


def copied() -> set[str]:
    """The paths of the repository that the Dockerfile copies into the image."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copies = [line.split()[1:-1] for line in lines if re.match("COPY (?!--from)", line)]
    return {path for paths in copies for path in paths}


def test_every_path_that_the_image_copies_exists():
    assert [path for path in copied() if not (ROOT / path).exists()] == []


def test_the_image_has_the_target_of_every_link_of_the_package():
    links = [path.resolve() for path in (ROOT / "rejoinder").iterdir() if path.is_symlink()]
    assert {"rejoinder", "pyproject.toml"} <= copied()
    assert {path.name for path in links} <= copied()
