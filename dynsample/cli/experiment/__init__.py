"""What `dynsample demo` and `dynsample study` share: tasks, trainer, rows and their balance."""
