"""What conditions a hypernetwork: where the vector comes from that weights are generated from."""
