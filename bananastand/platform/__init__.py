"""The local Banana: builds projects, runs them and calls them. Knows no torch, and no app but by its commands."""
