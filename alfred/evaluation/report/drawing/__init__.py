"""Figures as SVG that stands in the page itself: no script draws them, and no library is loaded."""
