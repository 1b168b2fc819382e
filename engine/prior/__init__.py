"""The priors: factored-attention transformers over codes (arXiv 2005.00341 §4, facts/jukebox.md §2-§4)."""
