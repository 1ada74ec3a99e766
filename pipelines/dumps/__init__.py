"""Reading dumps: input files, decompression, chunks of whole lines, lines, texts."""
