"""The Helm chart, and what makes those of its files that follow from others."""
