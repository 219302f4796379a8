"""Rain and streets that are drawn, with numpy only."""
