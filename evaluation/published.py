"""Published 1-of-100 accuracies on Reddit, for comparison.

Source: PolyAI's BENCHMARKS.md (https://github.com/PolyAI-LDN/conversational-datasets) on all of
Reddit 2015 to 2018, and the ConveRT paper (https://arxiv.org/abs/1911.03688). The test sets
differ, so a difference of a point is not significant. The multi-context ConveRT also reads the
turns before the context; its test pairs are the subset that has such turns.
"""

ONE_OF_100 = {
    "TF-IDF": 0.264,
    "BM25": 0.275,
    "USE": 0.366,
    "USE, mapped": 0.408,
    "USE-large, mapped": 0.477,
    "USE-QA, mapped": 0.466,
    "n-gram dual encoder (PolyAI)": 0.613,
    "ConveRT": 0.683,
    "ConveRT, earlier turns (other pairs)": 0.718,
}
