"""Make them speak: the only room with time in it. Read `speaker` first."""
