"""The way without autograd: what the networks compute, faster and in less memory."""
