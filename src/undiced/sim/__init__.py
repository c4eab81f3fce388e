"""Times programs that were compiled for wafers. Knows programs and machines, no compiler and no model."""
