"""From files of prices to a market: parsing, checks of rows, alignment on sessions."""
