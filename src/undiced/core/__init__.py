"""Units, number formats, the weight manifest's vocabulary and errors. Imports nothing of ours."""
