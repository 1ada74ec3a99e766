"""A TPU slice of several hosts is refused in one line, before TensorFlow waits for its hosts."""

import http.server
import re
import sys
import threading
import types

import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.hardware import Hardware
from rejoinder.trainer.distribution import pjrt, tpu
from rejoinder.trainer.distribution.strategy import make_strategy

V5E = Hardware(tpu_chips=("v5e",) * 8)
PATH = "/computeMetadata/v1/instance/attributes/worker-network-endpoints"


@pytest.fixture
def metadata():
    """Returns the environment of a TPU VM, and a function that sets its metadata."""
    answer = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known = answer and self.path == PATH and self.headers["Metadata-Flavor"] == "Google"
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(answer[0] if known else b"<html>not, found</html>")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield {"GCE_METADATA_IP": f"127.0.0.1:{server.server_port}"}, answer.append
        server.shutdown()


@pytest.fixture(autouse=True)
def libtpu(monkeypatch):
    library = types.SimpleNamespace(get_library_path=lambda: "/wheel/libtpu.so")
    monkeypatch.setitem(sys.modules, "libtpu", library)


def test_a_host_that_kubernetes_names_with_others_is_refused():
    with pytest.raises(UserError) as error:
        pjrt.set_environment({"TPU_WORKER_HOSTNAMES": "w0,w1,w2,w3"}, V5E)
    assert str(error.value) == (
        "--tpu local: this is one of 4 hosts of a TPU slice, and training uses one host; take "
        "v5litepod-8, v6e-8 or v3-8"
    )


def test_a_host_that_the_metadata_server_lists_with_others_is_refused(metadata):
    """A TPU VM of v5litepod-16 has no variable that says so."""
    environment, say = metadata
    say(b"unknown:unknown:10.0.0.2,unknown:unknown:10.0.0.3")
    with pytest.raises(UserError, match="this is one of 2 hosts of a TPU slice"):
        pjrt.set_environment(environment, V5E)


@pytest.mark.parametrize("answer", [b"unknown:unknown:10.0.0.2", b"", b"\xff", None])
def test_a_host_of_its_own_is_accepted(metadata, answer):
    environment, say = metadata
    if answer is not None:
        say(answer)
    pjrt.set_environment(environment, V5E)
    assert environment["PJRT_DEVICE"] == "TPU"


def test_a_variable_that_names_one_host_is_believed(metadata):
    environment, say = metadata
    say(b"a:b:10.0.0.2,a:b:10.0.0.3")
    pjrt.set_environment(environment | {"TPU_WORKER_HOSTNAMES": "localhost"}, V5E)


def test_a_name_whose_tpu_has_several_hosts_is_refused_before_they_are_asked(monkeypatch):
    workers = {"worker": [f"10.0.0.{host}:8470" for host in range(2, 6)]}
    cluster = types.SimpleNamespace(as_dict=lambda: workers)
    monkeypatch.setattr(
        tf.distribute.cluster_resolver,
        "TPUClusterResolver",
        lambda tpu: types.SimpleNamespace(cluster_spec=lambda: cluster),
    )
    asked = []
    monkeypatch.setattr(tpu, "_check_server", lambda name, address: asked.append(address))
    with pytest.raises(UserError, match=re.escape("--tpu big: has 4 hosts of a TPU slice, and")):
        make_strategy("one_device", tpu="big")
    assert not asked
