"""Songs that are sung: words, singers, a bank of spoken words, and the voice that sings them on notes."""
