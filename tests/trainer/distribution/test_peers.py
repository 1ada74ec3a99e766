"""A lost peer is noticed; one that is only slow is not."""

import multiprocessing.pool
import socket
import threading
import weakref

import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.distribution import peers
from rejoinder.trainer.distribution.hosts import Host, Hosts
from rejoinder.trainer.distribution.peers import PeerWatch, announce_missing, refuses, watch_peers

PEER = Host("worker", 1, "127.0.0.1:1")


@pytest.fixture
def listening():
    """Returns the address of a server that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Host("worker", 0, f"127.0.0.1:{server.getsockname()[1]}")


def test_a_host_that_listens_does_not_refuse_and_a_killed_one_does(listening):
    assert refuses(listening) is False
    with socket.socket() as bound:  # a port that nobody else gets, where nothing listens
        bound.bind(("127.0.0.1", 0))
        assert refuses(Host("worker", 1, f"127.0.0.1:{bound.getsockname()[1]}")) is True
    assert refuses(Host("worker", 1, "no-such-host.invalid:1")) is None


def watch(answers):
    """Returns the peer that is lost with these answers of a probe, or None."""
    left = list(answers)
    ended = threading.Event()

    def probe(_):
        if not left:
            ended.set()
            return False
        return left.pop(0)

    lost = []
    one = PeerWatch([PEER], lost.append, probe=probe, interval=0.001)
    while not (ended.wait(0.01) or one.lost(0.01)):
        pass
    one.close()
    assert lost == ([PEER] if one.lost(0) else [])
    return one.lost(0)


def test_two_refusals_mean_that_a_peer_is_lost():
    assert watch([False, True, True]) == PEER


def test_a_single_refusal_and_missing_answers_do_not():
    assert watch([False, True, False, None, None, True, None, False]) is None


def test_a_peer_that_never_answers_is_lost_after_some_time(monkeypatch):
    monkeypatch.setattr(peers, "_SILENCE_SECONDS", 0.02)
    assert watch([None] * 10_000) == PEER


def test_an_error_of_a_collective_names_the_lost_peer(monkeypatch):
    """The thread that ends a process whose main thread waits must not end this one."""
    ended = []
    monkeypatch.setattr(peers, "_end_process", lambda line, reported: ended.append(line))
    monkeypatch.setattr(peers, "INTERVAL_SECONDS", 0.001)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        peer = Host("worker", 1, f"127.0.0.1:{bound.getsockname()[1]}")
        hosts = Hosts([Host("worker", 0, "127.0.0.1:1"), peer], 0)
        with (
            pytest.raises(UserError, match=r"worker 1 \(127\.0\.0\.1:\d+\) has ended or cannot"),
            watch_peers(hosts, "M"),
        ):
            raise tf.errors.UnavailableError(None, None, "Socket closed")
    assert ended
    assert "checkpoint in M" in ended[0]


def test_the_thread_pool_of_a_failed_reduction_is_closed(monkeypatch):
    """Python frees an open pool at exit, after its pipe, and prints a traceback."""
    monkeypatch.setattr(peers, "_end_process", lambda line, reported: None)
    monkeypatch.setattr(peers, "INTERVAL_SECONDS", 0.001)
    pools = []

    def fail(_):
        raise tf.errors.UnavailableError(None, None, "Socket closed")

    def reduce():  # as CollectiveAllReduce._all_reduce_per_replica_values
        pool = multiprocessing.pool.ThreadPool(1)
        pools.append(weakref.ref(pool))
        pool.map(fail, [0])
        pool.close()

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        peer = Host("worker", 1, f"127.0.0.1:{bound.getsockname()[1]}")
        hosts = Hosts([Host("worker", 0, "127.0.0.1:1"), peer], 0)
        with pytest.raises(UserError) as raised, watch_peers(hosts, "M"):
            reduce()
    assert isinstance(raised.value.__cause__, tf.errors.UnavailableError)
    assert pools[0]() is None


def test_missing_hosts_are_named_while_the_others_wait(listening, capsys):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        absent = Host("worker", 2, f"127.0.0.1:{bound.getsockname()[1]}")
        hosts = Hosts([PEER, listening, absent], 0)
        with announce_missing(hosts, seconds=0):
            for thread in threading.enumerate():
                if isinstance(thread, threading.Timer):
                    thread.join(5)
    assert capsys.readouterr().err == f"waiting for {absent}\n"
