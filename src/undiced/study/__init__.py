"""What would a model do on a machine? Questions in the words of users, Python's and the terminal's, and their answers.

A composition root: it may import everything. Prints nothing, and knows no terminal.
"""
