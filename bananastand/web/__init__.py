"""What every HTTP server of ours shares: limits of connections and requests, and its setup. Knows no provider."""
