"""What a notebook needs: markets and signals from tables, any strategy judged, the whole job in one call."""
