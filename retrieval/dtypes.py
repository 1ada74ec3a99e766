"""Types of the numbers in an index's graph."""

F16, I8, B1 = "f16", "i8", "b1"
# Type → bytes of each number that building a segment holds in memory: half precision, int8, and
# sign bits, with int8 vectors beside them for the final scores.
DTYPES = {F16: 2, I8: 1, B1: 1}
