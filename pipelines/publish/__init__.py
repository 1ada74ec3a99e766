"""Staged files to a finished corpus with its report and metadata."""
