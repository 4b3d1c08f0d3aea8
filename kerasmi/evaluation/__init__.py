"""What a run is worth: exact AUCs, held-out nats, tables and pictures.

Modules: `auc`, `statistics`, `comparisons`, `mutual_information`, `tables`,
`paper_tables`, `figures` and more. None of them imports TensorFlow or Keras.
"""
