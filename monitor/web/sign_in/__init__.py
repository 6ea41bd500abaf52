"""Who makes a request: the local admin, a bearer token, or a person whom a proxy names."""
