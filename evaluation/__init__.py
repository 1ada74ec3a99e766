"""Evaluation of encoders: response selection, similarity, paraphrases, and a report.

`metrics`, `intervals` and `ranking` are pure functions on arrays. `pairs` and `sentence_pairs`
read data, `baselines` fits TF-IDF and BM25, and `session` runs a whole evaluation. `results`
holds its figures, which `tables`, `plots`, `markdown` and `html` render.
"""

if __name__ != "rejoinder.evaluation":
    raise ImportError("import rejoinder.evaluation, not evaluation")
