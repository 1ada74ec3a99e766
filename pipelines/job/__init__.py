"""The Beam job: its steps, its graph, runners, and progress."""
