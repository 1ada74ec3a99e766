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


# Options of `rejoinder preprocess` that make no sense in the service: it runs the job elsewhere,
# detached, and chooses the runner itself. A corpus in a bucket cannot be extended.
NOT_PARAMETERS = {"runner", "workers", "dry_run", "detach", "restart", "quiet"}
NOT_PARAMETERS |= {"extend", "keep_months"}
# Options of Beam that a run of the template needs.
OF_BEAM = {"sdk_container_image"}


def parameters() -> list[dict]:
    return json.loads((DEPLOY / "metadata.json").read_text())["parameters"]


def test_the_specification_lists_every_option_of_the_command():
    names = [parameter["name"] for parameter in parameters()]
    assert sorted(names) == sorted({*template().options()} - NOT_PARAMETERS | OF_BEAM)


def test_a_parameter_is_required_or_has_the_default_of_its_option():
    known = template().options()
    for parameter in parameters():
        if parameter["name"] not in OF_BEAM:
            required = known[parameter["name"]].required
            assert required is not parameter.get("isOptional", False)


def value_of(parameter: dict) -> str:
    """A value that the parameter's pattern accepts."""
    pattern = (parameter.get("regexes") or [".*"])[0]
    values = ("true", "1", "2006", "clean", "keep", "parquet", "title", "gs://b/x")
    values += ("passing",)
    return next(value for value in values if re.match(pattern, value))


def test_the_command_understands_every_parameter():
    given = [f"--{parameter['name']}={value_of(parameter)}" for parameter in parameters()]
    _, unknown = preprocess.build_parser().parse_known_args(template().translate(given))
    assert [argument.split("=")[0] for argument in unknown] == ["--sdk_container_image"]


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
