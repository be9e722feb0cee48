"""The providers that ship with the router; each is a plugin like anyone's."""
