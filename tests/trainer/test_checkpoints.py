"""Every host restores from MODEL_DIR, and the chief alone writes to it."""

import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.checkpoints import HostCheckpointManager
from rejoinder.trainer.distribution.hosts import Host, Hosts


class Exchange:
    """Two hosts in one thread: what the chief gave is what the other host receives."""

    def __init__(self):
        members = [Host("worker", number, f"h{number}:1") for number in range(2)]
        self.hosts = [Hosts(members, number) for number in range(2)]
        self.given: list[int] = []
        self.hosts[0].gather = self._of_chief
        self.hosts[1].gather = self._of_other

    def _of_chief(self, value):
        self.given.append(value)
        return [value, value]

    def _of_other(self, value):
        return [self.given.pop(0), value]


@pytest.fixture
def managers(tmp_path):
    """Returns step variable and manager of each of two hosts."""
    exchange = Exchange()
    made = []
    for hosts in exchange.hosts:
        step = tf.Variable(0, dtype=tf.int64)
        manager = HostCheckpointManager(
            tf.train.Checkpoint(step=step),
            hosts,
            directory=str(tmp_path / "model"),
            max_to_keep=2,
            step_counter=step,
            checkpoint_interval=5,
            init_fn=lambda: None,
        )
        made.append((step, manager))
    return made


def save(managers, step, **options):
    paths = []
    for variable, manager in managers:
        variable.assign(step)
        paths.append(manager.save(checkpoint_number=variable.numpy(), **options))
    return paths


def test_the_chief_writes_and_the_other_host_knows_the_path(managers, tmp_path, monkeypatch):
    written = []
    write = tf.train.Checkpoint._write
    monkeypatch.setattr(
        tf.train.Checkpoint,
        "_write",
        lambda self, *args, **options: written.append(self) or write(self, *args, **options),
    )
    assert save(managers, 5) == [str(tmp_path / "model/ckpt-5")] * 2
    assert save(managers, 7) == [None, None]  # before the interval has passed
    assert save(managers, 7, check_interval=False) == [str(tmp_path / "model/ckpt-7")] * 2
    chief, other = (manager.checkpoint for _, manager in managers)
    assert written == [chief, chief]
    assert other is not chief
    assert [manager.latest_checkpoint for _, manager in managers] == [
        str(tmp_path / "model/ckpt-7")
    ] * 2


def test_every_host_restores_what_the_chief_wrote(managers):
    save(managers, 5)
    for variable, _ in managers:
        variable.assign(0)
    for _, manager in managers:
        manager.restore_or_initialize()
    assert [int(variable) for variable, _ in managers] == [5, 5]


def test_hosts_that_see_different_folders_are_told_so(managers, tmp_path):
    (_, chief), (_, other) = managers
    (tmp_path / "model").mkdir()
    chief._hosts.gather = other._hosts.gather = lambda value: [5, 0]
    with pytest.raises(UserError, match=r"worker 0 \(h0:1\) found step 5 and worker 1 .* step 0"):
        other.restore_or_initialize()
