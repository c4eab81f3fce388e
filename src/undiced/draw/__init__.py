"""Drawing: shapes, letters, colors and axes as SVG, and SVG as PNG. Knows nothing of what is drawn."""
