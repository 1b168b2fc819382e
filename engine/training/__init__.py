"""Training of codecs and priors, on the project's own corpus or on a user's folder of audio."""
