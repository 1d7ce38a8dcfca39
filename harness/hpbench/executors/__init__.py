"""Where shards are run: worker processes on this machine."""
