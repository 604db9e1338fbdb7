"""Tests of the media engine: pure tables and properties, then real WebRTC and RTP peers on loopback."""
