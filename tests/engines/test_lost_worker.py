"""An engine's worker that is killed, as `docker kill` does: `make test-images` kills one."""

from rejoinder.errors import UserError
from rejoinder.pipelines.job.engines import run

# The end of what Beam's portable job service reports, shortened.
BEAM = """Pipeline job-53b3672d failed in state FAILED: Error running pipeline.
Traceback (most recent call last):
  File "apache_beam/runners/portability/local_job_service.py", line 293, in _run_job
    self.result = self._invoke_runner()
  File "apache_beam/runners/worker/data_plane.py", line 594, in input_elements
    raise RuntimeError('Channel closed prematurely.')
RuntimeError: Channel closed prematurely.
"""


def test_a_worker_that_is_killed_is_one_line_without_beam_s_traceback():
    error = run._readable(RuntimeError(BEAM), "PortableRunner", None)
    assert isinstance(error, UserError)
    assert str(error).startswith("--runner PortableRunner: a worker ended before its work was done")
    assert "\n" not in str(error)


def test_any_other_traceback_of_a_job_stays_a_bug():
    error = RuntimeError(BEAM.replace("Channel closed prematurely.", "list index out of range"))
    assert run._readable(error, "PortableRunner", None) is error
