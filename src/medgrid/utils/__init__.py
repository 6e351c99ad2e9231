"""Helpers that know nothing of studies: files, retries, connections, threads, errors."""
