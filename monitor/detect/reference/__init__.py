"""References: profiles of the accepted traffic of models, and their storage."""
