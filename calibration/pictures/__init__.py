"""Rain pictures: their sources, and the selection for calibration."""
