"""The whole step of one of eight replicas compiles under XLA, with its collectives.

`MirroredStrategy` never compiles a step as a whole, and XLA's CPU runtime has no collectives to
run ("Collectives are not yet implemented for CPU devices when compiling with XLA"), so such a
step cannot run here. It can be compiled: with the strategy's all-reduce as the collective
operation that XLA knows, the compiler makes one program for eight replicas of forward and
backward pass, reduction, clip and optimizer. `test_equal_gradients` tests the results of eight
replicas without compilation.
"""

import re

import pytest
import tensorflow as tf

from rejoinder.trainer.data.prefetch import Prefetcher
from rejoinder.trainer.distribution.collectives import program_replica

pytestmark = pytest.mark.host_xla

REPLICAS = 8


@pytest.mark.parametrize("overrides", [{}, {"task": {"grad_cache_chunks": 2}}])
def test_the_step_compiles_for_eight_replicas(make_trainer, overrides):
    trainer = make_trainer(overrides)
    prefetcher = Prefetcher(trainer.train_input, trainer.strategy, last=1)
    features = next(prefetcher).inputs
    prefetcher.close()

    def step(features, replica):
        with program_replica(REPLICAS, replica):
            trainer.task.train_step(
                features, trainer.model, trainer.optimizer, metrics=trainer.train_metrics
            )

    compiled = tf.function(step, jit_compile=True, autograph=False)
    program = compiled.experimental_get_compiler_ir(features, tf.constant(0))(stage="optimized_hlo")

    assert f"replica_count={REPLICAS}" in program.splitlines()[0]
    groups = re.findall(r"all-reduce\(.*replica_groups=(\{\{[\d,]*\}\}|\[[^ ]*)", program)
    everyone = "{{" + ",".join(map(str, range(REPLICAS))) + "}}"
    assert set(groups) == {everyone}
    # The embeddings of all replicas: 8 x 16 pairs, context and response.
    assert re.search(r"f32\[8,16,32\]\S* all-reduce\(", program)
    # No part of the step runs on the host.
    for host_call in ('custom-call-target="xla_python', "outfeed(", "infeed(", " send(", " recv("):
        assert host_call not in program
