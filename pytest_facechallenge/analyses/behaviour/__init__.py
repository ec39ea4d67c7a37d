"""How the model behaves when it runs: loading, batches, extreme images, repetition."""
