"""The paper's codec tables at small scale: which of its choices carry over (arXiv 2005.00341 §5.3 to §5.5)."""
