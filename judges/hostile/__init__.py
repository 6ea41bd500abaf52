"""Text that tries to influence its judge: flags of samples, and attacks for tests and canaries."""
