"""From a library of files to a searchable store: SQLite is the truth, FAISS and stills are caches of it."""
