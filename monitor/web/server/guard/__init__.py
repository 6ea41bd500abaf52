"""What every request passes before a route sees it: hosts, origins, sign-in, limits, headers."""
