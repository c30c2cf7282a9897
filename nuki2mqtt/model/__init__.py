"""Floor 0: what a lock is. No JSON, no asyncio, no clock."""
