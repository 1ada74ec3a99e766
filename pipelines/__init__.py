"""Reddit dumps to tokenized (context, response) shards, as an Apache Beam job."""
