"""The whole path in one command, on a generated sample or the user's own dump."""
