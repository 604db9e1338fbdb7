"""Trunkline: the telephone network as a part of Matrix."""
