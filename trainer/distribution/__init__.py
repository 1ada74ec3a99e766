"""The hosts and devices of a run: strategy, TPUs, collectives, and the watch over other hosts."""
