"""Files of ready pairs: an extractor beside Reddit's."""
