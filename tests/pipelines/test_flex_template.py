"""The Flex Template's parameters are options that the command has."""

import importlib.util
import json
from pathlib import Path

from rejoinder.pipelines import preprocess
from rejoinder.pipelines.job import runners

DEPLOY = Path(__file__).parents[2] / "deploy" / "dataflow"


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


def test_what_the_launcher_adds_is_for_beam():
    """The arguments that Dataflow's launcher gives a Python template beside the parameters."""
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


def test_the_image_has_what_the_package_needs():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    root = DEPLOY.parents[1]
    for line in dockerfile.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (root / source).exists(), source
