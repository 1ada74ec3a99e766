"""A cluster's runner whose service is missing is one line that names the option."""

import socket
import threading

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.job import execution, runners, services


def error_of(name, *arguments):
    with pytest.raises(UserError) as caught:
        execution.run_pipeline(runners.choose(name, 1, arguments), lambda pipeline: None)
    return str(caught.value)


@pytest.mark.parametrize("name", ["DaskRunner", "NoRunner", "flinkrunnr"])
def test_a_name_that_is_no_runner_lists_the_runners(name):
    assert error_of(name).startswith(f"--runner {name}: is not a runner of Beam")


def test_a_runner_whose_package_is_missing_names_the_package():
    assert error_of("missing_package.Runner").startswith(
        "--runner missing_package.Runner: cannot be imported (No module named 'missing_package')"
    )


def test_a_runner_that_the_installed_packages_break_is_one_line(monkeypatch):
    def broken(name):
        raise AttributeError("type object 'DataFrame' has no attribute 'first'")

    monkeypatch.setattr(services, "create_runner", broken)
    assert "cannot be imported (type object 'DataFrame'" in error_of("InteractiveRunner")


def test_prism_that_is_a_text_file_or_a_folder_is_one_line(tmp_path):
    text = tmp_path / "prism"
    text.write_text("not a program")
    assert "is not a program" in error_of("PrismRunner", f"--prism_location={text}")
    assert "is not a file" in error_of("PrismRunner", f"--prism_location={tmp_path}")


def test_a_job_endpoint_where_nothing_listens_is_an_error_at_once():
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        endpoint = f"localhost:{unused.getsockname()[1]}"
        found = error_of("PortableRunner", f"--job_endpoint={endpoint}")
    assert found.startswith(f"--job_endpoint {endpoint}: no job service answers there")


@pytest.mark.parametrize("endpoint", ["localhost", "localhost:", ":80", "host:http"])
def test_a_job_endpoint_without_host_or_port_is_an_error(endpoint):
    found = error_of("PortableRunner", f"--job_endpoint={endpoint}")
    assert found == f"--job_endpoint {endpoint}: must be HOST:PORT"


def test_a_portable_runner_without_job_endpoint_names_the_option():
    assert error_of("PortableRunner").startswith("--job_endpoint: is missing")


def test_a_job_endpoint_that_listens_is_accepted():
    with socket.create_server(("localhost", 0)) as server:
        threading.Thread(target=server.accept, daemon=True).start()
        endpoint = f"localhost:{server.getsockname()[1]}"
        choice = runners.choose("PortableRunner", 1, [f"--job_endpoint={endpoint}"])
        assert type(services.create(choice)).__name__ == "PortableRunner"
