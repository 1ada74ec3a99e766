"""From configuration files and overrides to one resolved and checked configuration."""
