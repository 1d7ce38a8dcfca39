"""Network families: an ordinary module built from a configuration, and its search space."""
