"""`python -m undiced` is `undiced`. Knows nothing else."""

from undiced.cli import main

main()
