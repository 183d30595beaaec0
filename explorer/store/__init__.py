"""What is kept: SQLite is the truth, FAISS and stills are caches of it."""
