"""What tests share that want a real server: a process, a server inside the test, a bare line."""
