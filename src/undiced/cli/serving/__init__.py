"""What `undiced serve` is composed of, one part a file."""
