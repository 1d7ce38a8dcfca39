"""Search strategies by name; each lives in a module of its own that is imported when it is used."""
