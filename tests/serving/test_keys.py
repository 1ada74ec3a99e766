"""Bearer keys, without a server."""

import pytest

from rejoinder.serving.errors import Code, ServingError
from rejoinder.serving.keys import ApiKeys
from rejoinder.serving.metrics import Metrics


def test_without_keys_every_request_has_access():
    keys = ApiKeys([], Metrics())
    assert not keys
    keys.check("")


@pytest.mark.parametrize("header", ["Bearer first", "bearer second", "Bearer  second "])
def test_each_key_gives_access(header):
    keys = ApiKeys(["first", "second"], Metrics())
    assert keys
    keys.check(header)


@pytest.mark.parametrize(
    "header", ["", "first", "Basic first", "Bearer", "Bearer firs", "Bearer é"]
)
def test_other_headers_are_refused_and_counted(header):
    metrics = Metrics()
    with pytest.raises(ServingError) as error:
        ApiKeys(["first"], metrics).check(header)
    assert error.value.code is Code.UNAUTHENTICATED
    assert error.value.headers["WWW-Authenticate"] == "Bearer"
    assert 'rejoinder_rejected_total{reason="key"} 1.0' in metrics.render().decode()
