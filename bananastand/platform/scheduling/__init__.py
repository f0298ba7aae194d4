"""Which call goes to which replica, when, and how its end is recorded."""
