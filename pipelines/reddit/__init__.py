"""Reddit comments to pairs: options, parsing, filters, threads."""
