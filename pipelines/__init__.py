"""Reddit dumps to tokenized (context, response) shards, as an Apache Beam job."""

if __name__ != "rejoinder.pipelines":
    raise ImportError("import rejoinder.pipelines, not pipelines")
