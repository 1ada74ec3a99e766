"""The Beam job: plan, graph, steps, runners, progress and summary."""
