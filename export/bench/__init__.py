"""Benchmarks that need both the graphs that are exported here and what they are compared with."""
