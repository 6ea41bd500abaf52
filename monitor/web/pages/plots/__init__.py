"""Plots as inline SVG, made on the server. Colours come from classes of the stylesheet."""
