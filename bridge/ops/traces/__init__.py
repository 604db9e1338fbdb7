"""The life of each call in one place: recorded beside the calls, kept for a while, drawn as a ladder, sent to Homer."""
