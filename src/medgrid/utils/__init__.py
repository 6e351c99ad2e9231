"""Helpers that do not depend on studies: files, retries, connections, threads, errors."""
