"""Colour: curves and matrices, changes and tables of colours, cameras to simulate."""
