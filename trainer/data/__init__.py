"""From corpus folders to the exact batch of any step.

Everything that decides what a batch holds is a pure function of (seed, step):
`mixture` picks the data sets, `order` the examples, `records` reads the shards,
`sampler` puts them together, `layout` gives the batch its static shapes and
`feed` runs it all beside the training step.
"""
