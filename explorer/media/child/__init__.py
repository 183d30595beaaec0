"""What runs behind the process border: opens, decodes and writes media in a child that may be killed."""
