"""A WebRTC client of our own, for calls that try out the bridge: it speaks a tone and measures what it hears."""
