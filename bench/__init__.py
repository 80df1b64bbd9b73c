"""Benchmarks: ratios in one run, never a timed test. ``python -m bench list``."""
