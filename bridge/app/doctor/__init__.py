"""`trunkline doctor`: looks at a whole set-up, from the configuration to the trunks, and says what to do."""
