"""rtpengine servers as a media engine: they carry the packets, this process only tells them what to do."""
