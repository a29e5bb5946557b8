"""What a network is made of, read from its graph and never run: calls, multiplications, receptive fields, memory."""
