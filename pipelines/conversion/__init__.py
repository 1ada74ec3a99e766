"""A finished corpus to table files for other programs."""
