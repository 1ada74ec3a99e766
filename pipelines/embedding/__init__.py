"""The job behind `pipelines.embed`: texts from files, RunInference, Parquet shards."""
