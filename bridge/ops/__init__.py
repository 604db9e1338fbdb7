"""What operators see: metrics, health, logs and call records."""
