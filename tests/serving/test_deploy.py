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
from rejoinder.serving.metrics import Metrics
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


def read_all(name):
    """Returns the documents of a file by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((DEPLOY / name).read_text())}


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


def test_prometheus_scrapes_tensorflow_serving_on_kserve_where_it_answers():
    """The path of KServe's own runtime, /metrics, answers 404."""
    service = read("kserve.yaml")
    annotations = service["metadata"]["annotations"]
    assert annotations["serving.kserve.io/enable-prometheus-scraping"] == "true"
    assert annotations["prometheus.kserve.io/port"] == "8080"
    path = annotations["prometheus.kserve.io/path"]
    assert f'path: "{path}"' in (DEPLOY / "monitoring.config").read_text()
    given = flags(service["spec"]["predictor"]["model"]["args"])
    assert given["monitoring_config_file"] == "/mnt/models/monitoring.config"


@pytest.mark.parametrize(
    ("folder", "name"), [("serving", "compose-server.yaml"), ("preprocessing", "compose.yaml")]
)
def test_containers_of_our_images_have_no_rights_and_a_read_only_root(folder, name):
    services = yaml.safe_load((DEPLOY.parent / folder / name).read_text())["services"]
    for service in services.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_composed_server_has_the_arguments_of_its_image_and_is_scraped():
    services = read("compose-server.yaml")["services"]
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    command = re.search(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)[1]
    args = make_parser("").parse_args(yaml.safe_load(command))
    assert f"{args.port}:{args.port}" in " ".join(services["server"]["ports"])
    assert f"{args.grpc_port}:{args.grpc_port}" in " ".join(services["server"]["ports"])
    assert services["server"]["volumes"][0].endswith(f"{args.model[0].partition('=')[2]}:ro")
    assert f":{args.port}/health" in dockerfile
    (scrape,) = read("prometheus.yaml")["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": [f"server:{args.port}"]}]
    assert scrape["metrics_path"] in describe(read_limits(args), guarded=True)["paths"]
    assert services["prometheus"]["volumes"][0].startswith("./prometheus.yaml:")


def test_the_driver_and_the_worker_pool_share_a_network_of_their_own():
    services = yaml.safe_load((DEPLOY.parent / "preprocessing/compose.yaml").read_text())[
        "services"
    ]
    driver, worker = services["driver"], services["worker"]
    assert worker["network_mode"] == "none"
    assert driver["network_mode"] == "service:worker"
    port = next(part for part in worker["entrypoint"] if "--service_port=" in part).split("=")[1]
    assert f"--environment_config=localhost:{port}" in driver["command"]
    assert driver["image"] == worker["image"]
    mounted = {
        volume.split(":")[-2 if volume.endswith(":ro") else -1] for volume in driver["volumes"]
    }
    for argument in driver["command"][:3]:
        assert any(argument.partition("=")[2].startswith(path) for path in mounted)
    # The worker reads dumps and writes shards; the driver sends it the tokenizer.
    assert set(worker["volumes"]) < set(driver["volumes"])


def test_the_kubernetes_manifest_is_complete():
    kinds = read_all("server.yaml")
    deployment, service, scaler = (
        kinds[kind] for kind in ("Deployment", "Service", "HorizontalPodAutoscaler")
    )
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    pod = deployment["spec"]["template"]["spec"]
    named = {port["name"] for port in pod["containers"][0]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == named
    claims = [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["volumes"]]
    assert kinds["PersistentVolumeClaim"]["metadata"]["name"] in claims
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    (metric,) = scaler["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert f"# TYPE {name} gauge" in Metrics().render().decode()
    (rule,) = read("prometheus-adapter.yaml")["rules"]["custom"]
    assert rule["name"] == {"as": name}
    (scrape,) = yaml.safe_load(read("prometheus-pods.yaml")["extraScrapeConfigs"])
    kept = {rule.get("regex") for rule in scrape["relabel_configs"] if rule.get("action") == "keep"}
    assert kept == {labels["app"], "http"}
    # /metrics needs a key, which annotations of a pod cannot send.
    assert scrape["authorization"]["type"] == "Bearer"
    assert "annotations" not in deployment["spec"]["template"]["metadata"]


def test_the_kubernetes_deployment_matches_our_server():
    pod = read_all("server.yaml")["Deployment"]["spec"]["template"]["spec"]
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


def test_every_metric_that_is_named_exists():
    rendered = Metrics().render().decode()
    exist = set(re.findall(r"^# TYPE (\S+(?<!_created)) ", rendered, re.MULTILINE))
    page = (DEPLOY.parents[1] / "docs/serving.md").read_text()
    section = page.partition("### Metrics\n")[2].partition("\n## ")[0]
    named = re.findall(r"`((?:rejoinder|process)_\w+)", section)
    assert exist == set(named)
    for path in DEPLOY.glob("*.yaml"):
        used = re.findall(r"\b(rejoinder_\w+)", path.read_text())
        assert set(used) <= exist, path
