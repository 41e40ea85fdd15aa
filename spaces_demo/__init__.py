"""The Space, installed so that `textvae demo` and `textvae publish` find it; on the Hub its files stand alone."""
