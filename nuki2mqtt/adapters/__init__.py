"""Floor 3: how it reaches the wire. One outside world per file."""
