"""What a run did, told: from records of exits to words and pictures."""
