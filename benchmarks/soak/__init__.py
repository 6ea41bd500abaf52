"""Memory of one daemon over tens of millions of records."""
