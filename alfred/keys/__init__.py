"""Keys of a configuration: what each is, and what is wrong with one."""
