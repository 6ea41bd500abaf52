"""Records per second of one daemon, compared with loops over the same topic."""
