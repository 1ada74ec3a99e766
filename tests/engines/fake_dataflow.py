"""A Dataflow service on this machine, which runs the staged pipeline in a thread.

Beam's client speaks REST to an endpoint with the word `localhost` in it. The service
answers the requests that the client makes for a batch job: create, get, update, messages.
It reads the staged pipeline from the bucket, replaces the container by this process, and
runs it with Beam's local runner.
"""

import json
import re
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import environments

_CANCELLED = 5  # JOB_STATE_CANCELLED in the protocol
_JOBS = re.compile(r"/v1b3/projects/(?P<project>[^/]+)/locations/(?P<region>[^/]+)/jobs")


class FakeDataflow:
    """The service.

    Attributes:
        endpoint: The value of `--dataflow_endpoint`.
        requests: The jobs as the client described them.
        runs_jobs: Whether jobs are executed; otherwise they stay in the state RUNNING.
        refusal: A message with which every new job is refused, "" accepts it.
    """

    def __init__(self, bucket: Any) -> None:
        """Starts the service.

        Args:
            bucket: The `google.cloud.storage` bucket in which pipelines are staged.
        """
        self._bucket = bucket
        self.requests: list[dict[str, Any]] = []
        self.runs_jobs, self.refusal = True, ""
        self._state, self._messages = "JOB_STATE_RUNNING", list[dict[str, str]]()
        self._thread = threading.Thread()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self._answer()

            do_GET = do_PUT = do_POST  # noqa: N815

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                status, answer = service.answer(self.command, self.path.partition("?")[0], body)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                """Prints nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://localhost:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stops the service."""
        self._server.shutdown()
        self._server.server_close()

    def finish(self) -> str:
        """Waits for the end of a job that is executed; returns the job's state."""
        if self._thread.ident is not None:
            self._thread.join()
        return self._state

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Returns the status and the content of an answer."""
        if not (found := _JOBS.match(path)):
            return 404, {"error": {"message": f"{path} is unknown"}}
        if method == "POST":
            if self.refusal:
                return 403, {"error": {"message": self.refusal, "status": "PERMISSION_DENIED"}}
            self.requests.append(body)
            self._state, self._messages = "JOB_STATE_RUNNING", []
            if self.runs_jobs:
                self._thread = threading.Thread(target=self._run, args=(body,), daemon=True)
                self._thread.start()
        if method == "PUT":
            assert body["requestedState"] == _CANCELLED
            self._state = "JOB_STATE_CANCELLED"
        if path.endswith("/messages"):
            return 200, {"jobMessages": self._messages}
        job = {"id": "fake-1", "name": "job", "type": "JOB_TYPE_BATCH"}
        job |= {"projectId": found["project"], "location": found["region"]}
        return 200, job | {"currentState": self._state}

    def _run(self, job: dict[str, Any]) -> None:
        try:
            (url,) = set(re.findall(r"gs://[^\"\\]+/pipeline\.pb", json.dumps(job)))
            staged = self._bucket.blob(url.split("/", 3)[3]).download_as_bytes()
            pipeline = beam_runner_api_pb2.Pipeline.FromString(staged)
            for environment in pipeline.components.environments.values():
                environment.urn, environment.payload = python_urns.EMBEDDED_PYTHON, b""
                del environment.dependencies[:]
            runner = FnApiRunner(environments.EmbeddedPythonEnvironment.default())
            runner.run_via_runner_api(pipeline, PipelineOptions()).wait_until_finish()
            self._state = "JOB_STATE_DONE"
        except BaseException:
            text = traceback.format_exc()
            message = {"id": "1", "time": "2026-01-01T00:00:00Z", "messageText": text}
            self._messages = [message | {"messageImportance": "JOB_MESSAGE_ERROR"}]
            self._state = "JOB_STATE_FAILED"
