"""A model on a server that speaks KServe v2 over gRPC, such as Triton: an engine like any other."""
