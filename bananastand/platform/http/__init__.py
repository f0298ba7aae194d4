"""What the platform speaks over HTTP for its apps: run URLs, their hosts, the forward proxy. Knows no replica."""
