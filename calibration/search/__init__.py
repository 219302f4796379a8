"""What a quantised layer costs, and the fewest layers to keep within a budget."""
