"""How good results are: metrics, scores of data sets, and the stages of a network."""
