"""The section `replay`: which model is replayed, when, on what, and what follows from a verdict."""
