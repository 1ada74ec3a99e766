import threading

import pytest

from rejoinder.pipelines.job.background import Background


def test_the_result_and_the_exception_of_the_function_are_passed_on():
    assert Background(lambda: 3).wait() == 3
    with pytest.raises(ZeroDivisionError):
        Background(lambda: 1 // 0).wait()


def test_a_failure_ends_the_wait_for_a_function_that_never_returns():
    ended = threading.Event()
    checks = iter([None, None, RuntimeError("the engine has ended")])
    with pytest.raises(RuntimeError, match="the engine has ended"):
        Background(ended.wait).wait(lambda: next(checks))
    ended.set()
