"""Commands of replay: one module or package for each command or group."""
