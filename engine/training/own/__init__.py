"""A model of one's own from a folder of loops or stems: planned, estimated, trained, filed."""
