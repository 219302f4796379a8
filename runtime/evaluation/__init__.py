"""``granet-eval``: how much rain models remove."""
