"""Measures what runs here against what the machine allows."""
