"""`rejoinder doctor --runner`: a generated dump through an engine, compared with this machine."""

import pytest

from rejoinder import doctor
from rejoinder.pipelines import engine_check


@pytest.fixture
def results(monkeypatch):
    """Returns a function that checks a runner whose runs give what the test says."""

    def check(engine, local, name="PrismRunner", arguments=()):
        def run(inputs, output, options):
            return engine if options else local

        monkeypatch.setattr(engine_check, "_run", run)
        return list(engine_check.check_engine(name, "", arguments))

    return check


def test_equal_shards_prove_the_engine(results):
    shards = {"train 0": "a", "test 0": "b"}
    found = results((shards, 9.0, ""), (shards, 5.0, ""))
    assert [result.check for result in found] == ["workers", "PrismRunner", "this machine"]
    assert not any(result.failed for result in found)
    assert found[0].found.startswith("on this machine; files in ")
    assert found[1].found == "7,000 lines, 2 shards, 9 s"
    assert found[2].found == "all 2 shards are equal; 5 s"


def test_a_shard_that_differs_is_a_problem_that_names_it(results):
    found = results(({"train 0": "a", "test 0": "x"}, 9.0, ""), ({"train 0": "a"}, 5.0, ""))
    assert found[-1].failed
    assert found[-1].found.startswith("1 of 1 shards differ (test 0); ")


def test_the_error_of_the_engine_is_the_problem(results):
    found = results(({}, 1.0, "--prism_location /none: no such file"), ({}, 0.0, ""))
    assert found[-1] == ("PrismRunner", "--prism_location /none: no such file", True)


def test_an_option_that_nobody_knows_is_the_problem(results):
    (found,) = results(({}, 0.0, ""), ({}, 0.0, ""), arguments=["--prismlocation=x"])
    assert found.failed
    assert "--prismlocation=x: neither an option" in found.found


def test_workers_elsewhere_need_a_folder(results):
    (found,) = results(({}, 0.0, ""), ({}, 0.0, ""), name="DataflowRunner")
    assert found.failed
    assert found.found.startswith("--folder: is missing; the workers of --runner DataflowRunner")


def test_a_problem_is_followed_by_the_command_that_checks_again(monkeypatch):
    failed = [engine_check.Result("FlinkRunner", "no job service", failed=True)]
    monkeypatch.setattr(engine_check, "check_engine", lambda *_: failed)
    (finding,) = doctor.engine_findings("FlinkRunner", "", ["--flink_master", "a b"])
    assert finding.fix.startswith("rejoinder doctor --runner FlinkRunner --flink_master 'a b'")


def test_options_of_beam_need_a_runner(capsys):
    with pytest.raises(SystemExit):
        doctor.main(["--flink_master", "host:8081"])
    assert "unrecognized arguments: --flink_master host:8081" in capsys.readouterr().err


@pytest.mark.e2e
def test_prism_passes(prism):
    found = list(engine_check.check_engine("PrismRunner", "", ["--prism_location", prism]))
    assert [result.check for result in found] == ["workers", "PrismRunner", "this machine"]
    assert found[-1].found.startswith("all 8 shards are equal; ")
