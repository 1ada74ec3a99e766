"""What the Beam job runs on its workers, one file a step."""
