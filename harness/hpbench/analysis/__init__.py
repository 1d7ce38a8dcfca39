"""From the store to frames, statistics, tables and figures; imports no torch, no runner and no strategy."""
