"""The codec: a three-level VQ-VAE on raw audio (arXiv 2005.00341 §3, facts/jukebox.md §1)."""
