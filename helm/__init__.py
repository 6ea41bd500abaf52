"""The Helm chart, and the program that generates parts of it."""
