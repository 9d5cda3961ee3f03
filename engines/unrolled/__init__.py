"""What an unrolled network is fed with: right-hand side and inverse of one slice, as real planes."""
