"""Compiles the training step for a TPU without one, with libtpu's compiler on a CPU.

`lowering` makes the program of one replica with TensorFlow; `compiler` compiles it in an
environment of its own, because jax and TensorFlow are not imported into one process.
"""
