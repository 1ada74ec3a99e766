"""Engines: the runners that run a job outside this process (Prism, Flink, Spark, Dataflow)."""
