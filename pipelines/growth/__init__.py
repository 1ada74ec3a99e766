"""A corpus that grows by further months: the comments that later ones may need."""
