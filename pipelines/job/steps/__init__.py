"""The steps of the Beam job, which run on its workers."""
