"""The hosts that TF_CONFIG names."""

import json

import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.distribution.hosts import Hosts

CLUSTER = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}


def hosts(monkeypatch, job, index, cluster=CLUSTER) -> Hosts:
    task = {"type": job, "index": index}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    return Hosts.from_environment()


def test_the_chief_comes_first_and_worker_0_without_one(monkeypatch):
    second = hosts(monkeypatch, "worker", 0)
    assert [str(host) for host in second.members] == [
        *("chief 0 (a:1)", "worker 0 (b:1)", "worker 1 (c:1)")
    ]
    assert (second.index, second.count, second.is_chief) == (1, 3, False)
    assert [str(host) for host in second.others] == ["chief 0 (a:1)", "worker 1 (c:1)"]
    assert hosts(monkeypatch, "chief", 0).is_chief
    assert hosts(monkeypatch, "worker", 0, {"worker": ["a:1"]}).is_chief


def test_one_process_is_its_own_chief_and_exchanges_nothing():
    alone = Hosts()
    assert (alone.count, alone.is_chief, alone.others) == (1, True, ())
    assert alone.gather(7) == [7]
    alone.barrier()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": 5}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_cluster_that_is_not_one_is_refused_with_the_name_of_the_variable(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG"):
        Hosts.from_environment()


def test_settings_that_differ_name_the_host(monkeypatch):
    one = hosts(monkeypatch, "worker", 1)
    monkeypatch.setattr(one, "gather", lambda value: [value, value + 1, value])
    with pytest.raises(UserError, match=r"worker 0 \(b:1\) has other data than chief 0 \(a:1\)"):
        one.check_equal("data", "text")
    monkeypatch.setattr(one, "gather", lambda value: [value] * 3)
    one.check_equal("data", "text")
