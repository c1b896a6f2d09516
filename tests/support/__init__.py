"""What several of the test rooms share."""
