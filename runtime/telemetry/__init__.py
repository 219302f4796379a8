"""How a run fares: health, rates and times, on the terminal and over HTTP."""
