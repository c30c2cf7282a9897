"""Floor 2: what to do about it. Pure decisions; `now` is always an argument."""
