"""What people can say to the bridge's own user, and what it answers; pure. `app.bot_desk` does what was asked."""
