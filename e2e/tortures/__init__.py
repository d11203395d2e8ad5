"""What e2e/torture does to connections through podgraft and through kubectl port-forward, case by case."""
