"""Moving-average crossover strategy for Quarterdeck."""
