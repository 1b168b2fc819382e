"""Where the engine runs: jobs (any process), and the engine process that the bridge talks to over a pipe."""
