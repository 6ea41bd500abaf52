"""Tables of the web application, in the database of the result store, and their migrations."""
