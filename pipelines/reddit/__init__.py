"""Comments to pairs: options, parsing, filters, threads."""
