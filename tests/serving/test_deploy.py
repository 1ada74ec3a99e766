"""Checks the files in `deploy/serving` with the schemas and parsers of the programs that read them.

No container runs here. TensorFlow Serving's configuration is parsed by its own protocol
buffers, flags are compared with those of `tensorflow_model_server`, and our server's
arguments and probes with our server.
"""

import re
from pathlib import Path

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2

from rejoinder.serving.apis.openapi import describe
from rejoinder.serving.options import read_limits
from rejoinder.serving.parser import make_parser

DEPLOY = Path(__file__).parents[2] / "deploy/serving"
# tensorflow_serving/model_servers/main.cc, release 2.19
MODEL_SERVER_FLAGS = {
    "batching_parameters_file",
    "enable_batching",
    "enable_per_model_batching_parameters",
    "file_system_poll_wait_seconds",
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "monitoring_config_file",
    "rest_api_timeout_in_ms",
}


def read(name):
    return yaml.safe_load((DEPLOY / name).read_text())


def flags(arguments):
    pairs = (argument.removeprefix("--").partition("=") for argument in arguments)
    return {name: value for name, _, value in pairs}


@pytest.fixture(scope="module")
def tensorflow_serving():
    return read("compose.yaml")["services"]["tensorflow-serving"]


def test_models_config_names_the_folder_that_compose_mounts(tensorflow_serving):
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((DEPLOY / "models.config").read_text(), config)
    (model,) = config.model_config_list.config
    assert (model.name, model.model_platform) == ("encoder", "tensorflow")
    mounts = [volume.rsplit(":", 2)[1] for volume in tensorflow_serving["volumes"]]
    assert mounts == [model.base_path, "/config"]


def test_the_monitoring_config_parses_and_enables_prometheus():
    # tensorflow_serving/config/monitoring_config.proto, which no Python package ships.
    file = descriptor_pb2.FileDescriptorProto(name="monitoring.proto", package="t")
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=8)
    prometheus.field.add(name="path", number=2, type=9)
    monitoring = file.message_type.add(name="MonitoringConfig")
    monitoring.field.add(
        name="prometheus_config", number=1, type=11, type_name=".t.PrometheusConfig"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    config = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.MonitoringConfig"))()
    text_format.Parse((DEPLOY / "monitoring.config").read_text(), config)
    assert config.prometheus_config.enable
    assert config.prometheus_config.path.startswith("/monitoring/")


def test_batching_config_sets_the_shared_threads_and_nothing_else():
    # The rest comes from batching_params.pbtxt, which the export's tests check.
    text = re.sub("#.*", "", (DEPLOY / "batching.config").read_text())
    fields = re.findall(r"(\w+) \{ value: (\S+) \}", text)
    assert fields == [("thread_pool_name", '"encode"'), ("num_batch_threads", "4")]
    assert not re.sub(r"\w+ \{ value: \S+ \}|\s", "", text)


def test_compose_uses_existing_flags_and_files(tensorflow_serving):
    given = flags(tensorflow_serving["command"])
    assert given.keys() <= MODEL_SERVER_FLAGS
    for path in (value for value in given.values() if value.startswith("/config/")):
        assert (DEPLOY / path.removeprefix("/config/")).is_file()


@pytest.mark.parametrize("name", ["compose.yaml", "compose-tei.yaml"])
def test_composed_containers_listen_on_the_loopback_and_mount_read_only(name):
    for service in read(name)["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert all(volume.endswith(":ro") for volume in service["volumes"])
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", service["image"])  # a pinned version


def test_kserve_runs_tensorflow_serving_with_existing_flags():
    service = read("kserve.yaml")
    assert (service["apiVersion"], service["kind"]) == (
        "serving.kserve.io/v1beta1",
        "InferenceService",
    )
    model = service["spec"]["predictor"]["model"]
    assert (model["modelFormat"]["name"], model["protocolVersion"]) == ("tensorflow", "v1")
    assert flags(model["args"]).keys() <= MODEL_SERVER_FLAGS


def test_the_kubernetes_deployment_matches_our_server():
    pod = read("server.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["rejoinder", "serve"]
    args = make_parser("").parse_args(container["args"])
    ports = [port["containerPort"] for port in container["ports"]]
    assert ports == [args.port, args.grpc_port]
    paths = describe(read_limits(args), guarded=True)["paths"]
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        probe = container[kind]["httpGet"]
        assert probe["path"] in paths
        assert probe["port"] == args.port
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    base = args.model[0].partition("=")[2]
    assert any(base.startswith(f"{path}/") for path in mounts)
    assert any(str(args.api_key_file).startswith(f"{path}/") for path in mounts)
    assert set(mounts.values()) == {volume["name"] for volume in pod["volumes"]}
    # The drain must end before Kubernetes kills the process.
    drain = args.drain_delay + args.drain_seconds
    assert drain < pod["terminationGracePeriodSeconds"]
