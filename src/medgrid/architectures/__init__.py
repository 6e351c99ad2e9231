"""Names and layers of networks, without importing torch."""
