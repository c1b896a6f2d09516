"""What a guest's exits were: from the recorder's records to tables, JSON, timelines, a story."""
