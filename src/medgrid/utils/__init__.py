"""Helpers without any knowledge of studies: files, retries, connections, threads, errors."""
