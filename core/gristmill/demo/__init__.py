"""The demo: scikit-learn's handwritten digits as PNG files, and a model that reads them."""
