"""Songs that the project writes, plays and renders itself, to train its models on."""
