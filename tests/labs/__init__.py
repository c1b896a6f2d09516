"""The lab course: every solution passes, every typical mistake is found, whatever code does."""
