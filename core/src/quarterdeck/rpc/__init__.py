"""The gRPC skin: servicers that translate and delegate, interceptors, one error table."""
