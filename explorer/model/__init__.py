"""Pixels and words become vectors and scores; the only home of torch modules. Importing this package loads no torch."""
