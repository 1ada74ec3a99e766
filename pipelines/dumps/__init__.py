"""Dumps to chunks of whole lines: which files, decompression, cutting."""
