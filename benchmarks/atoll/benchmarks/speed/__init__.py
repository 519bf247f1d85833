"""How fast a mixture's layers run, beside those of others on the same weights, tokens and routing."""
