"""What every test that starts daemons shares: clusters, clients, guests and how to leave nothing behind."""
