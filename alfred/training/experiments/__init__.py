"""A registry of weekly stock-picking experiments, walked forward and judged side by side."""
