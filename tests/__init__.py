"""The suite: it mirrors explorer/; tests/support holds what tests and benchmarks share."""
