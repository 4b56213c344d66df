"""How much contour work a pre-annotation leaves: contour agreement, the quantities made from it, simulated minutes.

Imports numpy and scipy only.
"""
