"""What a wafer program must keep to, a file a subject. Each rule yields what breaks it."""
