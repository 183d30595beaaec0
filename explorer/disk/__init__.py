"""Safe writing: whole files or none, one writer a folder, lines that are appended, JSON that proves itself."""
