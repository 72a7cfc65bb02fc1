import os
import secrets

# Ray would write a token into the home folder of whoever runs the tests.
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
