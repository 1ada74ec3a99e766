"""How good is an encoder: response selection, similarity, retrieval, and a report.

Pure functions on arrays are in `metrics`, `intervals` and `ranking`; `pairs` and `sts` read
data; `baselines` fits TF-IDF and BM25; `results` and `report` write what `rejoinder.evaluation.evaluate`
prints.
"""

if __name__ != "rejoinder.evaluation":
    raise ImportError("import rejoinder.evaluation, not evaluation")
