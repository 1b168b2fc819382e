"""The sounds of the corpus, made from nothing but arithmetic: tonal patches and drum kits."""
