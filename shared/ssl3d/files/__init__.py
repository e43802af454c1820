"""Files and folders: atomic writes, tables, walking, texts, keys of contents."""
