"""From corpus folders to the batch of any step.

The content of a batch is a pure function of (seed, step): `mixture` chooses the data
sets, `order` the examples, `records` reads the shards, `sampler` combines them,
`layout` gives the batch static shapes, and `prefetch` makes batches ahead of the
training step.
"""
